// The bursts that stages hand to each other: structures of arrays, where index i is one packet.
// They live on the worker's stack; nothing is initialised before it is written.
#pragma once

#include <cstddef>
#include <cstdint>

#include <rte_mbuf.h>

#include "common/limits.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "common/types.h"

namespace jvpn {

static_assert(kBurst <= 64, "bulk lookups take 64 keys at most");

/// Frames as a port gave them.
struct FrameBurst {
  size_t count = 0;
  rte_mbuf* packet[kBurst];
};

/// JVP data messages on the way from classify to open. The mbuf's data starts at Ethernet.
struct DataBurst {
  size_t count = 0;
  rte_mbuf* packet[kBurst];
  uint8_t* message[kBurst];  ///< transport header
  uint32_t bytes[kBurst];    ///< header, ciphertext and tag
  uint16_t port[kBurst];     ///< number of the port it came in by
  const RxRecord* record[kBurst];
  RxLane* lane[kBurst];

  void add(rte_mbuf* m, uint8_t* header, uint32_t length, uint16_t in_port) {
    packet[count] = m;
    message[count] = header;
    bytes[count] = length;
    port[count] = in_port;
    ++count;
  }
  /// For loops that drop some: packet `from` becomes packet `to` ≤ `from`.
  void keep(size_t to, size_t from) {
    if (to == from) return;
    packet[to] = packet[from];
    message[to] = message[from];
    bytes[to] = bytes[from];
    port[to] = port[from];
    record[to] = record[from];
    lane[to] = lane[from];
  }
};

/// Where inner packets came from; decides what may be done with them.
enum class Origin : uint8_t {
  kTunnel,   ///< opened from a peer: its source is checked, it may go anywhere
  kInside,   ///< from an inside port: may only enter the tunnel
  kControl,  ///< made by our own control core: spends no hop
};

/// Inner packets whose header is sound. The mbuf's data starts at the IP header.
struct InnerBurst {
  size_t count = 0;
  rte_mbuf* packet[kBurst];
  uint8_t* ip[kBurst];
  uint32_t bytes[kBurst];
  PeerId peer[kBurst];    ///< kTunnel: who sent it
  uint16_t port[kBurst];  ///< number of the port it came in by

  void add(rte_mbuf* m, uint8_t* start, uint32_t length, PeerId from, uint16_t in_port) {
    packet[count] = m;
    ip[count] = start;
    bytes[count] = length;
    peer[count] = from;
    port[count] = in_port;
    ++count;
  }
  /// Packet `from` of another burst.
  void take(const InnerBurst& other, size_t from) {
    add(other.packet[from], other.ip[from], other.bytes[from], other.peer[from], other.port[from]);
  }
  /// What was dropped has no packet any more.
  void close_gaps() {
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
      if (packet[i] != nullptr) keep(kept++, i);
    }
    count = kept;
  }
  void keep(size_t to, size_t from) {
    if (to == from) return;
    packet[to] = packet[from];
    ip[to] = ip[from];
    bytes[to] = bytes[from];
    peer[to] = peer[from];
    port[to] = port[from];
  }
};

/// Inner packets that enter the tunnel. The mbuf's data starts at the IP header.
struct SealBurst {
  explicit SealBurst(const InnerBurst& packets) : inner(packets) {}

  const InnerBurst& inner;  ///< that they are among
  size_t count = 0;
  uint8_t place[kBurst];  ///< there
  rte_mbuf* packet[kBurst];
  PeerId peer[kBurst];  ///< to whom
  const TxRecord* record[kBurst];

  /// Packet `i` of `inner`, for the peer `to`.
  void add(size_t i, PeerId to) {
    place[count] = static_cast<uint8_t>(i);
    packet[count] = inner.packet[i];
    peer[count] = to;
    ++count;
  }
};

/// Makes the packet's data the `bytes` from `start`, which lies in its buffer.
inline void set_data(rte_mbuf* packet, const uint8_t* start, uint32_t bytes) {
  packet->data_off = static_cast<uint16_t>(start - static_cast<const uint8_t*>(packet->buf_addr));
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = bytes;
}

}  // namespace jvpn
