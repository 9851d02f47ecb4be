// What control messages of one receiver index meet before they cost a worker a cipher, and control
// a place in its ring. Any worker may take part, at once: everything is relaxed, and two that race
// let one message more pass. Control has the last word on each counter. Only authentic messages
// change any of it: nobody else can use up what a peer has.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/replay_window.h"

namespace jvpn {

/// Which counters were seen lately: at least kReach behind the highest.
class SeenCounters {
 public:
  static constexpr uint64_t kReach = 256;

  ReplayVerdict check(uint64_t sequence) const {
    const uint64_t word = words_[place(sequence)].load(std::memory_order_relaxed);
    const int32_t behind = behind_of(word, sequence);
    if (behind > 0) return ReplayVerdict::kTooOld;
    const bool seen = behind == 0 && (word & bit(sequence)) != 0;
    return seen ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
  }
  /// Of an authentic message that check() let pass.
  void add(uint64_t sequence) {
    std::atomic<uint64_t>& word = words_[place(sequence)];
    const uint64_t before = word.load(std::memory_order_relaxed);
    const int32_t behind = behind_of(before, sequence);
    if (behind > 0) return;
    const uint64_t kept = behind == 0 ? before : uint64_t{block(sequence)} << kBlock;
    word.store(kept | bit(sequence), std::memory_order_relaxed);
  }

 private:
  /// Counters of a word, whose other bits number them: as many as make one line of words enough.
  static constexpr uint64_t kBlock = 37;
  static constexpr uint64_t kNumberBits = 64 - kBlock;
  static constexpr size_t kWords = (kReach + kBlock - 1) / kBlock + 1;
  static uint32_t block(uint64_t sequence) { return static_cast<uint32_t>(sequence / kBlock); }
  static uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % kBlock); }
  static size_t place(uint64_t sequence) { return sequence / kBlock % kWords; }
  static int32_t behind_of(uint64_t word, uint64_t sequence) {
    constexpr unsigned kUnused = 32 - kNumberBits;
    const uint32_t difference = static_cast<uint32_t>(word >> kBlock) - block(sequence);
    return static_cast<int32_t>(difference << kUnused) >> kUnused;
  }

  std::array<std::atomic<uint64_t>, kWords> words_{};
};

/// A rate limit in one word: when all that was taken is paid for.
class CycleBudget {
 public:
  /// `cycles` is what one costs; up to `burst` of them may be owed.
  bool has(uint64_t now_tsc, uint64_t cycles, uint64_t burst) const {
    return paid(now_tsc) - now_tsc + cycles <= cycles * burst;
  }
  void take(uint64_t now_tsc, uint64_t cycles) {
    paid_.store(paid(now_tsc) + cycles, std::memory_order_relaxed);
  }

 private:
  uint64_t paid(uint64_t now_tsc) const {
    return std::max(paid_.load(std::memory_order_relaxed), now_tsc);
  }

  std::atomic<uint64_t> paid_{0};  ///< TSC
};

}  // namespace jvpn
