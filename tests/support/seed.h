// Seeds of random tests: JVPN_SEED replays a run.
#pragma once

#include <cstdint>
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

}  // namespace jvpn::test
