// Sliding window against replays (RFC 4303, §3.4.3): a ring of bits, one for each number in the
// window. Moving on by one clears nothing: the number that comes takes the place of the one that
// leaves.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace jvpn {

enum class ReplayVerdict : uint8_t { kFresh, kDuplicate, kTooOld };

/// Accepts each sequence number once, among the latest `Bits`: the highest accepted and those
/// behind it. The first number may be 0. One writer; trivially copyable; never allocates. A jump
/// ahead of any size costs at most one pass over the ring.
template <size_t Bits>
class ReplayWindow {
  static_assert(Bits >= 64 && std::has_single_bit(Bits));

 public:
  /// What accept() would say. Call it before the tag is checked, accept() afterwards.
  ReplayVerdict check(uint64_t sequence) const {
    if (sequence > highest_) return ReplayVerdict::kFresh;
    if (highest_ - sequence >= Bits) return ReplayVerdict::kTooOld;
    return (words_[index(sequence)] & bit(sequence)) != 0 ? ReplayVerdict::kDuplicate
                                                          : ReplayVerdict::kFresh;
  }

  /// Checks and marks. Only for authentic packets: it moves the window.
  ReplayVerdict accept(uint64_t sequence) {
    uint64_t& word = words_[index(sequence)];
    if (sequence > highest_) [[likely]] {
      if (sequence - highest_ != 1) [[unlikely]]
        forget(highest_ + 1, sequence);
      word |= bit(sequence);
      __atomic_store_n(&highest_, sequence, __ATOMIC_RELAXED);
      return ReplayVerdict::kFresh;
    }
    if (highest_ - sequence >= Bits) return ReplayVerdict::kTooOld;
    const bool seen = (word & bit(sequence)) != 0;
    word |= bit(sequence);
    return seen ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
  }

  /// Where check() and accept() will look, for a prefetch.
  const void* place_of(uint64_t sequence) const { return &words_[index(sequence)]; }

  /// Highest number accepted; 0 also when there is none yet. Any thread.
  uint64_t highest() const { return __atomic_load_n(&highest_, __ATOMIC_RELAXED); }

  /// As new.
  void reset() { *this = ReplayWindow{}; }

 private:
  static constexpr size_t kWords = Bits / 64;

  static constexpr size_t index(uint64_t sequence) { return (sequence / 64) % kWords; }
  static constexpr uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }

  /// The numbers from `first` to before `end` were not seen.
  [[gnu::noinline]] void forget(uint64_t first, uint64_t end) {
    if (end - first >= Bits) return words_.fill(0);
    while (first < end) {
      const uint64_t count = std::min(64 - first % 64, end - first);
      const uint64_t bits = count == 64 ? ~uint64_t{0} : bit(count) - 1;
      words_[index(first)] &= ~(bits << (first % 64));
      first += count;
    }
  }

  uint64_t highest_ = 0;
  std::array<uint64_t, kWords> words_{};
};

}  // namespace jvpn
