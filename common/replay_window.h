// Sliding window against replays (RFC 6479): a ring of 64-bit words with one word more than the
// window, so that moving forward clears whole words and shifts nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace jvpn {

enum class ReplayVerdict : uint8_t { kFresh, kDuplicate, kTooOld };

/// Accepts each sequence number once, anything up to `Bits` behind the highest accepted. The first
/// number may be 0. One writer; trivially copyable; never allocates. A jump ahead of any size costs
/// at most one pass over the ring.
template <size_t Bits>
class ReplayWindow {
  static_assert(Bits > 0 && Bits % 64 == 0);

 public:
  /// What accept() would say. Call it before the tag is checked, accept() afterwards.
  ReplayVerdict check(uint64_t sequence) const {
    if (sequence > highest_) return ReplayVerdict::kFresh;
    if (highest_ - sequence > Bits) return ReplayVerdict::kTooOld;
    return (words_[index(sequence)] & bit(sequence)) != 0 ? ReplayVerdict::kDuplicate
                                                          : ReplayVerdict::kFresh;
  }

  /// Checks and marks. Only for authentic packets: it moves the window.
  ReplayVerdict accept(uint64_t sequence) { return accept(sequence, place_of(sequence)); }

  /// The same with `place` = place_of(sequence).
  ReplayVerdict accept(uint64_t sequence, uint64_t* place) {
    if (sequence > highest_) [[likely]]
      advance(sequence);
    else if (highest_ - sequence > Bits)
      return ReplayVerdict::kTooOld;
    uint64_t& word = *place;
    const bool seen = (word & bit(sequence)) != 0;
    word |= bit(sequence);
    return seen ? ReplayVerdict::kDuplicate : ReplayVerdict::kFresh;
  }

  /// Where check() and accept() will look.
  uint64_t* place_of(uint64_t sequence) { return &words_[index(sequence)]; }

  /// Highest number accepted; 0 also when there is none yet.
  uint64_t highest() const { return highest_; }

  /// As new.
  void reset() { *this = ReplayWindow{}; }

 private:
  static constexpr size_t kWords = Bits / 64 + 1;

  static constexpr size_t index(uint64_t sequence) { return (sequence / 64) % kWords; }
  static constexpr uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }

  void advance(uint64_t sequence) {
    const uint64_t words = sequence / 64 - highest_ / 64;
    if (words != 0) [[unlikely]]
      clear(std::min<uint64_t>(words, kWords));
    highest_ = sequence;
  }

  /// The next words behind the highest number's.
  [[gnu::noinline]] void clear(uint64_t words) {
    size_t at = index(highest_);
    for (uint64_t i = 0; i < words; ++i) {
      at = at + 1 == kWords ? 0 : at + 1;
      words_[at] = 0;
    }
  }

  uint64_t highest_ = 0;
  std::array<uint64_t, kWords> words_{};
};

}  // namespace jvpn
