// What fuzz targets share. A target is one file with LLVMFuzzerTestOneInput(): it takes an input
// apart, gives the product what it finds in it, and says by GoogleTest's macros what must hold
// then; any failure ends the process. libFuzzer makes the inputs in a tree of its own
// (tests/fuzz/run.sh); in trees with AddressSanitizer replay.cc runs those in tests/fuzz/corpus/.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

/// Made by each target; gives 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace jvpn::fuzz {

using Bytes = std::vector<uint8_t>;

/// Takes an input apart from the front. What lies behind its end is zero.
class Draw {
 public:
  Draw(const uint8_t* data, size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  std::span<const uint8_t> take(size_t most) {
    const auto taken = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  std::span<const uint8_t> rest() { return take(left_.size()); }
  /// `most` bytes at most, in memory that ends with them.
  Bytes bytes(size_t most) {
    const auto taken = take(most);
    return {taken.begin(), taken.end()};
  }
  template <typename T = uint8_t>
  T number() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const auto taken = take(sizeof value);
    if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }
  /// 0 … n - 1.
  size_t below(size_t n) { return number() % n; }
  bool flip() { return (number() & 1) != 0; }
  /// Lays some of the input over a value, at a place that the input chooses.
  void spoil(std::span<uint8_t> value) {
    if (value.empty()) return;
    const size_t at = number<uint16_t>() % value.size();
    const auto with = take(std::min<size_t>(below(24) + 1, value.size() - at));
    std::ranges::copy(with, value.begin() + static_cast<std::ptrdiff_t>(at));
  }

 private:
  std::span<const uint8_t> left_;
};

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace jvpn::fuzz
