// Seeds of random tests: JVPN_SEED replays a run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace jvpn::test {

/// JVPN_SEED, or else `fallback`.
inline uint64_t seed_or(uint64_t fallback) {
  const char* text = std::getenv("JVPN_SEED");
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 0);
}

/// A seed that is new each time, unless JVPN_SEED is set.
inline uint64_t fresh_seed() {
  return seed_or(std::random_device{}());
}

/// One seed for the whole run. Printed on first use.
inline uint64_t run_seed() {
  static const uint64_t seed = [] {
    const uint64_t value = fresh_seed();
    std::printf("JVPN_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return seed;
}

/// How many random cases to try: `full`, or a quarter of it where sanitizers make each one five
/// times slower.
constexpr int rounds(int full) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return full / 4;
#else
  return full;
#endif
}

}  // namespace jvpn::test
