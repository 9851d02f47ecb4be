// Stage tx: transmit. Worker core, one instance per worker.
//   1. Finished frames gather in a buffer per port, in their order.
//   2. A full buffer, and every buffer at the end of a poll, goes to the port in one burst, on the
//      transmit queue that belongs to this worker.
//   3. What the port doesn't take is dropped by name: the worker never waits for a port.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "common/assert.h"
#include "common/exchange.h"
#include "common/limits.h"
#include "common/port_info.h"

namespace jvpn {

class TxBuffers {
 public:
  /// `queue`: this worker's transmit queue on every port.
  TxBuffers(std::span<const PortInfo> ports, uint16_t queue, WorkerCounters& counters)
      : ports_(ports.size()), queue_(queue), counters_(counters) {
    for (const PortInfo& port : ports) buffers_[port.number].dpdk_id = port.dpdk_id;
  }

  /// False when there is no such port; the packet then stays the caller's.
  bool has_port(uint16_t port) const { return port < ports_; }

  /// Takes a finished frame for the port of this number (has_port()).
  void add(uint16_t port, rte_mbuf* frame) {
    JVPN_DEBUG_ASSERT(has_port(port), "frames leave by ports that there are");
    JVPN_DEBUG_ASSERT(frame != nullptr, "a frame, not the place of one");
    Buffer& buffer = buffers_[port];
    JVPN_DEBUG_ASSERT(buffer.count < kFrames, "a full buffer was sent");
    const uint16_t place = buffer.count;
    buffer.frames[place] = frame;
    buffer.count = place + 1;
    if (place + 1 == kFrames) [[unlikely]]
      send(buffer);
  }

  /// Sends frames at once, behind those that were added. Returns how many the port took, which are
  /// the first; the others stay the caller's.
  uint16_t offer(uint16_t port, std::span<rte_mbuf*> frames) {
    JVPN_DEBUG_ASSERT(has_port(port), "frames leave by ports that there are");
    Buffer& buffer = buffers_[port];
    if (buffer.count != 0) send(buffer);
    const uint16_t sent = rte_eth_tx_burst(buffer.dpdk_id, queue_, frames.data(),
                                           static_cast<uint16_t>(frames.size()));
    WorkerCounters::add(counters_.tx_packets, sent);
    return sent;
  }

  void flush() {
    for (size_t port = 0; port < ports_; ++port) {
      if (buffers_[port].count != 0) send(buffers_[port]);
    }
  }

 private:
  static constexpr uint16_t kFrames = kMaxBurst;

  struct alignas(64) Buffer {
    uint16_t dpdk_id = 0;
    uint16_t count = 0;
    std::array<rte_mbuf*, kFrames> frames;
  };

  [[gnu::noinline]] void send(Buffer& buffer) {
    const uint16_t sent =
        rte_eth_tx_burst(buffer.dpdk_id, queue_, buffer.frames.data(), buffer.count);
    JVPN_DEBUG_ASSERT(sent <= buffer.count, "a port takes no more than it is given");
    WorkerCounters::add(counters_.tx_packets, sent);
    if (sent != buffer.count) [[unlikely]] {
      const auto left = static_cast<unsigned>(buffer.count - sent);
      rte_pktmbuf_free_bulk(buffer.frames.data() + sent, left);
      WorkerCounters::add(counters_.drops[static_cast<size_t>(Drop::kTxFull)], left);
    }
    buffer.count = 0;
  }

  size_t ports_;
  uint16_t queue_;
  WorkerCounters& counters_;
  std::array<Buffer, kMaxPorts> buffers_;
};

}  // namespace jvpn
