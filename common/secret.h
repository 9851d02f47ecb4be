// Memory for secrets: wiped when it goes, compared in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace jvpn {

/// Overwrites memory in a way the compiler can't drop.
inline void wipe(void* memory, size_t bytes) {
  if (bytes == 0) return;
  __builtin_memset(memory, 0, bytes);
  __asm__ volatile("" : : "r"(memory) : "memory");
}

/// Equal or not, in time that depends on the lengths alone.
inline bool equal_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  if (a.size() != b.size()) return false;
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  __asm__ volatile("" : "+r"(difference));
  return difference == 0;
}

/// Fixed-size secret bytes; the destructor wipes them, a move leaves zeros behind.
template <size_t N>
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const uint8_t, N> bytes) {
    for (size_t i = 0; i < N; ++i) bytes_[i] = bytes[i];
  }
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.clear(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.clear();
    }
    return *this;
  }
  ~Secret() { clear(); }

  void clear() { wipe(bytes_.data(), N); }
  std::array<uint8_t, N>& bytes() { return bytes_; }
  const std::array<uint8_t, N>& bytes() const { return bytes_; }
  std::span<uint8_t, N> span() { return bytes_; }
  std::span<const uint8_t, N> span() const { return bytes_; }
  bool operator==(const Secret& other) const { return equal_constant_time(bytes_, other.bytes_); }

 private:
  std::array<uint8_t, N> bytes_{};
};

}  // namespace jvpn
