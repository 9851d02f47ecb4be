// Which sources have called lately without a cookie. A flood from invented addresses hardly ever
// uses one twice; an honest client that wasn't answered calls again within a second or so. Worker
// core. Bounded: two bits for each, in one line of a set that forgets after two to four seconds
// (later where fewer than 16 000 a second come), and takes new sources for known ones the more
// often the faster they come (at 200 000 a second 1 of 100, at 650 000 some 8). 6 MiB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace jvpn {

class ReturningSources {
 public:
  /// `generation`: TSC cycles after which what was noted begins to age.
  explicit ReturningSources(uint64_t generation) : generation_(generation) {
    for (auto& bits : bits_) bits.resize(kWords);
  }

  /// It was noted lately, by its hash.
  bool knows(uint64_t hash) const {
    const size_t first = (hash >> 12) % kWords;
    return has_bit(first, hash % 64) && has_bit(first ^ 1, hash / 64 % 64);
  }
  /// Notes a source by its hash. True: it was noted lately.
  bool note(uint64_t now_tsc, uint64_t hash) {
    age(now_tsc);
    const size_t first = (hash >> 12) % kWords;
    const bool known = note_bit(first, hash % 64);
    return note_bit(first ^ 1, hash / 64 % 64) && known;
  }

 private:
  static constexpr size_t kWords = size_t{1} << 18;
  static constexpr size_t kAtOnce = 8;  ///< words: a line of the cache

  bool has_bit(size_t word, uint64_t number) const {
    return ((bits_[now_][word] | bits_[before()][word]) >> number & 1U) != 0;
  }
  bool note_bit(size_t word, uint64_t number) {
    const bool known = has_bit(word, number);
    bits_[now_][word] |= uint64_t{1} << number;
    return known;
  }
  size_t before() const { return (now_ + 2) % 3; }
  size_t oldest() const { return (now_ + 1) % 3; }
  /// Clears a little of the oldest for each that is noted, so that nothing takes long at once.
  void age(uint64_t now_tsc) {
    auto& old = bits_[oldest()];
    for (size_t i = 0; i < kAtOnce && cleared_ < kWords; ++i) old[cleared_++] = 0;
    if (cleared_ < kWords || now_tsc - began_ < generation_) return;
    now_ = oldest();
    began_ = now_tsc;
    cleared_ = 0;
  }

  const uint64_t generation_;
  uint64_t began_ = 0;  ///< TSC of the present generation
  size_t now_ = 0;
  size_t cleared_ = 0;  ///< words of the oldest
  std::array<std::vector<uint64_t>, 3> bits_;
};

}  // namespace jvpn
