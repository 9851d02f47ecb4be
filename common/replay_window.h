// Sliding window against replays (RFC 4303, §3.4.3; RFC 6479): a ring of words of bits, one for
// each number in the window. The word that moves is kept beside the highest number: packets in
// sequence touch no other line.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace jvpn {

enum class ReplayVerdict : uint8_t { kFresh, kDuplicate, kTooOld };

/// Words of a window that lie somewhere else: whoever makes the window gives them, zeroed.
struct FarWords {
  uint64_t* first = nullptr;
  uint64_t& operator[](size_t i) const { return first[i]; }
};

/// Accepts each sequence number once, among the latest `Bits`: the highest accepted and those
/// behind it. The first number may be 0. One writer; trivially copyable; never allocates. A jump
/// ahead of any size costs at most one pass over the ring.
template <size_t Bits, typename Words = std::array<uint64_t, Bits / 64>>
class ReplayWindow {
  static_assert(Bits >= 64 && std::has_single_bit(Bits));

 public:
  static constexpr size_t kWords = Bits / 64;

  ReplayWindow() = default;
  explicit ReplayWindow(Words words) : words_(words) {}

  /// What accept() would say. Call it before the tag is checked, accept() afterwards.
  ReplayVerdict check(uint64_t sequence) const {
    if (sequence > highest_) return ReplayVerdict::kFresh;
    if (highest_ - sequence >= Bits) return ReplayVerdict::kTooOld;
    const uint64_t word = is_latest(sequence) ? latest_ : words_[index(sequence)];
    return (word & bit(sequence)) != 0 ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
  }

  /// Checks and marks. Only for authentic packets: it moves the window.
  ReplayVerdict accept(uint64_t sequence) {
    if (sequence > highest_) [[likely]] {
      if (!is_latest(sequence)) [[unlikely]]
        move_to(sequence / 64);
      latest_ |= bit(sequence);
      __atomic_store_n(&highest_, sequence, __ATOMIC_RELAXED);
      return ReplayVerdict::kFresh;
    }
    if (highest_ - sequence >= Bits) return ReplayVerdict::kTooOld;
    uint64_t& word = is_latest(sequence) ? latest_ : words_[index(sequence)];
    const bool seen = (word & bit(sequence)) != 0;
    word |= bit(sequence);
    return seen ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
  }

  /// Its bit stands beside the highest number; those of others at place_of(), for a prefetch.
  bool is_latest(uint64_t sequence) const { return sequence / 64 == highest_ / 64; }
  const void* place_of(uint64_t sequence) const { return &words_[index(sequence)]; }

  /// Highest number accepted; 0 also when there is none yet. Any thread.
  uint64_t highest() const { return __atomic_load_n(&highest_, __ATOMIC_RELAXED); }

  const Words& words() const { return words_; }

 private:
  static constexpr size_t index(uint64_t sequence) { return (sequence / 64) % kWords; }
  static constexpr uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }

  /// To the word of a higher number. The words in between are of numbers not seen; what stands in
  /// their places, and in the latest one's, has left the window.
  [[gnu::noinline]] void move_to(uint64_t word) {
    const uint64_t before = highest_ / 64;
    words_[before % kWords] = latest_;
    const uint64_t between = std::min<uint64_t>(word - before - 1, kWords);
    for (uint64_t i = 1; i <= between; ++i) words_[(before + i) % kWords] = 0;
    latest_ = 0;
  }

  uint64_t highest_ = 0;
  uint64_t latest_ = 0;  ///< bits of the highest number's word
  Words words_{};
};

}  // namespace jvpn
