// The bursts that stages hand to each other. They live on the worker's stack; nothing is
// initialised before it is written.
#pragma once

#include <cstddef>
#include <cstdint>

#include <rte_mbuf.h>

#include "common/assert.h"
#include "common/burst.h"
#include "common/limits.h"
#include "common/session_table.h"
#include "common/types.h"

namespace jvpn {

/// Frames as a port gave them.
struct FrameBurst {
  size_t count = 0;
  rte_mbuf* packet[kMaxBurst];
};

/// A JVP data message on the way from classify to open. The mbuf's data starts at Ethernet.
struct DataPacket {
  rte_mbuf* packet;
  uint8_t* message;  ///< transport header
  const RxRecord* record;
  RxLane* lane;
  uint32_t bytes;     ///< header, ciphertext and tag
  uint16_t port;      ///< number of the port it came in by
  uint64_t sequence;  ///< in its lane, known with it
};
using DataBurst = Burst<DataPacket>;

/// Where inner packets came from; decides what may be done with them.
enum class Origin : uint8_t {
  kTunnel,   ///< opened from a peer: its source is checked, it may go anywhere
  kInside,   ///< from an inside port: may only enter the tunnel
  kControl,  ///< made by our own control core: spends no hop
};

/// An inner packet whose header is sound. What the mbuf says of its data is set when it leaves.
struct InnerPacket {
  rte_mbuf* packet;
  uint8_t* ip;
  uint32_t bytes;
  PeerId from;    ///< kTunnel: who sent it
  uint16_t port;  ///< number of the port it came in by
  bool ipv4;
};
using InnerBurst = Burst<InnerPacket>;

/// The same, put together where it is asked for: what rarely is needed whole stays in registers.
[[gnu::always_inline]] inline InnerPacket whole(const InnerPacket& inner) {
  return {inner.packet, inner.ip, inner.bytes, inner.from, inner.port, inner.ipv4};
}

/// One that enters the tunnel.
struct TunnelPacket {
  InnerPacket inner;
  PeerId to;
  uint16_t out_port;  ///< this and `outer` are the record's, which has left the first cache when
  Family outer;       ///< the burst is sealed; kNone: larger than its path, to be fragmented
  const TxRecord* record;
};
using TunnelBurst = Burst<TunnelPacket>;

/// Makes the packet's data the `bytes` from `start`, which lies in its buffer.
inline void set_data(rte_mbuf* packet, const uint8_t* start, uint32_t bytes) {
  JVPN_DEBUG_ASSERT(start >= packet->buf_addr, "data starts in the packet's buffer");
  JVPN_DEBUG_ASSERT(
      start + bytes <= static_cast<const uint8_t*>(packet->buf_addr) + packet->buf_len,
      "data ends in the packet's buffer");
  packet->data_off = static_cast<uint16_t>(start - static_cast<const uint8_t*>(packet->buf_addr));
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = bytes;
}

}  // namespace jvpn
