// A bounded ring between two threads: one puts values in, one takes them out, neither waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/assert.h"

namespace jvpn {

template <typename T>
class SpscRing {
 public:
  /// Room for `entries`, rounded up to a power of two.
  explicit SpscRing(size_t entries)
      : slots_(std::bit_ceil(std::max<size_t>(entries, 2))), mask_(slots_.size() - 1) {}

  /// Producer. False: full.
  template <typename Value = T>
  bool push(Value&& value) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ == slots_.size()) head_seen_ = head_.load(std::memory_order_acquire);
    const uint64_t used = tail - head_seen_;
    JVPN_ASSERT(used <= slots_.size(), "the consumer is never ahead of the producer");
    if (used == slots_.size()) return false;
    slots_[tail & mask_] = std::forward<Value>(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// Consumer. False: empty.
  bool pop(T& value) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) tail_seen_ = tail_.load(std::memory_order_acquire);
    JVPN_ASSERT(tail_seen_ - head <= slots_.size(), "the producer is never a round ahead");
    if (head == tail_seen_) return false;
    value = std::move(slots_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  /// Either side.
  bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }
  size_t capacity() const { return slots_.size(); }

 private:
  std::vector<T> slots_;
  size_t mask_;
  // Each side looks at the other's line only when what it saw there last doesn't do any more.
  alignas(64) std::atomic<uint64_t> tail_{0};  ///< written by the producer
  uint64_t head_seen_ = 0;                     ///< the producer's
  alignas(64) std::atomic<uint64_t> head_{0};  ///< written by the consumer
  uint64_t tail_seen_ = 0;                     ///< the consumer's
};

}  // namespace jvpn
