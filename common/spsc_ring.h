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
  bool push(T value) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t used = tail - head_.load(std::memory_order_acquire);
    JVPN_ASSERT(used <= slots_.size(), "the consumer is never ahead of the producer");
    if (used == slots_.size()) return false;
    slots_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// Consumer. False: empty.
  bool pop(T& value) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_acquire);
    JVPN_ASSERT(tail - head <= slots_.size(), "the producer is never a round ahead");
    if (head == tail) return false;
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
  alignas(64) std::atomic<uint64_t> tail_{0};  ///< written by the producer
  alignas(64) std::atomic<uint64_t> head_{0};  ///< written by the consumer
};

}  // namespace jvpn
