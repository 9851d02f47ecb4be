// The traffic of `jvpn-perf jump-load`: packets of many peers to a host on the LAN and back, made
// and taken on the worker's own lcore between its polls.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>

#include "common/aead.h"
#include "common/limits.h"
#include "perf/jvpn_perf/frames.h"
#include "perf/jvpn_perf/memory_gateway.h"

namespace jvpn::perf {

/// What a peer has to know of its binding. Writer: the control thread; reader: the worker's lcore.
struct alignas(64) LoadPeer {
  /// Receiver index in the upper half, number of the binding in the lower.
  std::atomic<uint64_t> binding{0};
  RawKey to_gateway{};
  RawKey to_peer{};
  RawKey control{};
};

/// The peer's UDP port on a binding: another path each time.
uint16_t port_on(uint16_t binding);

class LoadTraffic {
 public:
  /// Both outlive it. `bytes`: of an inner packet.
  LoadTraffic(MemoryGateway& gateway, std::vector<LoadPeer>& peers, unsigned bytes);

  /// One burst to each port's receive queue; each packet of another session than the one before.
  void give();
  /// Takes what was sent and forgets it. Returns the number of packets.
  size_t take();

 private:
  struct Sender {
    AeadKey key;
    uint16_t binding = 0;
    uint64_t sequence = 0;
  };
  void give_to_lan();
  void give_to_wan();
  uint32_t next_peer(uint32_t& at) const;

  MemoryGateway& gateway_;
  std::vector<LoadPeer>& peers_;
  Aead aead_;
  FrameTemplates frames_;
  std::vector<Sender> senders_;
  uint32_t next_to_peer_ = 0;
  uint32_t next_to_lan_ = 0;
};

}  // namespace jvpn::perf
