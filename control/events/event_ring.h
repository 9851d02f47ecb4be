// Events on their way from the control thread to the sink thread: a bounded ring with one producer
// and one consumer. A full one refuses; nobody waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "common/assert.h"
#include "control/session/event.h"

namespace jvpn::events {

/// An event with what only its emission knows.
struct StampedEvent {
  session::Event event;
  uint64_t sequence = 0;
  uint64_t realtime_ms = 0;
};
static_assert(std::is_trivially_copyable_v<StampedEvent>, "copied on the control thread");

class EventRing {
 public:
  /// Room for `entries`, rounded up to a power of two.
  explicit EventRing(size_t entries)
      : slots_(std::bit_ceil(std::max<size_t>(entries, 2))), mask_(slots_.size() - 1) {}

  /// Producer. False: full, the event isn't taken.
  bool push(const StampedEvent& event) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t used = tail - head_.load(std::memory_order_acquire);
    JVPN_ASSERT(used <= slots_.size(), "the consumer is never ahead of the producer");
    if (used == slots_.size()) return false;
    slots_[tail & mask_] = event;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Consumer. False: empty.
  bool pop(StampedEvent& event) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_acquire);
    JVPN_ASSERT(tail - head <= slots_.size(), "the producer is never a round ahead");
    if (head == tail) return false;
    event = slots_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  size_t capacity() const { return slots_.size(); }

 private:
  std::vector<StampedEvent> slots_;
  size_t mask_;
  alignas(64) std::atomic<uint64_t> tail_{0};  ///< written by the producer
  alignas(64) std::atomic<uint64_t> head_{0};  ///< written by the consumer
};

}  // namespace jvpn::events
