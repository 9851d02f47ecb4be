// Frames between the peers of the in-memory gateway and the host on its LAN, as templates that are
// copied into packets and patched. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <rte_mbuf.h>

#include "common/ip_header.h"
#include "common/types.h"
#include "common/wire.h"

namespace jvpn::perf {

/// Before an inner packet on the LAN; before a transport header on the WAN.
inline constexpr size_t kEthernetHeaderBytes = 14;
inline constexpr size_t kOuterBytes = kEthernetHeaderBytes + 20 + 8;
inline constexpr unsigned kLeastInner = 28;  ///< IPv4 and UDP headers

class FrameTemplates {
 public:
  /// `inner_bytes`: of the inner IP packets, ≥ kLeastInner.
  explicit FrameTemplates(unsigned inner_bytes);
  unsigned inner_bytes() const { return inner_bytes_; }

  /// From the host on the LAN to the one behind a peer, `flow` being its UDP source port. Fills an
  /// empty packet; returns the inner packet in it.
  uint8_t* write_to_peer(rte_mbuf* packet, uint32_t peer, uint16_t flow = 7) const;

  /// What a peer's data message is made with.
  struct Message {
    uint32_t peer;
    uint16_t port;  ///< the peer's
    ReceiverIndex index;
    uint64_t counter;
  };
  /// The way back: the whole frame, its payload not sealed yet. Returns the plaintext in it.
  uint8_t* write_to_lan(rte_mbuf* packet, const Message& message) const;

 private:
  unsigned inner_bytes_;
  std::vector<uint8_t> to_peer_;
  std::vector<uint8_t> to_lan_;
};

}  // namespace jvpn::perf
