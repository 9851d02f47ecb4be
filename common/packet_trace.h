// A trace of one session's packets: control orders it, workers note what becomes of each packet.
// Nothing of a packet's content or keys is in it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/drop.h"
#include "common/limits.h"
#include "common/spsc_ring.h"
#include "common/types.h"

namespace jvpn {

/// Packets of one order at most. A worker's ring has room for twice as many: what a burst in hand
/// still notes for a former order takes no place of a new one's.
inline constexpr uint32_t kMostTraced = 1'024;

enum class TraceWay : uint8_t {
  kOpened,     ///< from the peer to an inside port, or to us
  kSealed,     ///< from an inside port or from us to the peer
  kForwarded,  ///< from the peer to a peer
};
enum class TraceEnd : uint8_t {
  kSent,       ///< given to the port; what that refuses is counted as tx_full, for all sessions
  kDropped,    ///< by `reason`
  kToControl,  ///< goes on by the slow path
  kHandedOff,  ///< to the worker that owns its lane, which traces it anew
  kHeld,       ///< waits for a path, or behind what does; then it goes, or is counted as a drop
};

struct TracedPacket {
  uint32_t order = 0;
  uint16_t worker = 0;
  uint16_t port = 0;   ///< that it came in by
  uint32_t bytes = 0;  ///< of the data message, or of the inner packet
  TraceWay way = TraceWay::kOpened;
  TraceEnd end = TraceEnd::kSent;
  Drop reason = Drop::kCount;
  bool handed_on = false;       ///< by another worker: rx and classify were there
  const char* stage = nullptr;  ///< the last that it reached; static
  uint64_t tsc = 0;             ///< of the poll that took it
};

/// One worker's part. Off: `order` is 0, and a worker reads no more of it than that, once a poll.
struct alignas(64) PacketTrace {
  // Written by control, `order` last.
  std::atomic<uint64_t> order{0};  ///< its number, from 1 on, << 32, and the peer's
  std::atomic<uint64_t> until_tsc{0};
  std::atomic<uint32_t> most{0};
  /// The worker puts in, control takes out.
  SpscRing<TracedPacket> packets{2 * size_t{kMostTraced}};

  void begin(uint32_t number, PeerId peer, uint64_t until, uint32_t packets_at_most) {
    until_tsc.store(until, std::memory_order_relaxed);
    most.store(packets_at_most, std::memory_order_relaxed);
    order.store(uint64_t{number} << 32 | peer.value, std::memory_order_release);
  }
  void end() { order.store(0, std::memory_order_relaxed); }
};

}  // namespace jvpn
