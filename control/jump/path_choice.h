// Which path a session should take (docs/DESIGN.md, quality): deterministic, from measured values
// alone. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/policy.h"
#include "common/types.h"
#include "control/session/path_quality.h"
#include "control/session/vocabulary.h"

namespace jvpn::jump {

/// What is known of a candidate, best first.
enum class Standing : uint8_t {
  kWarm,     ///< its latest probe was answered, and nothing speaks against it
  kUntried,  ///< never probed
  kDoubtful  ///< over a threshold, cooling down, or its latest probe wasn't answered
};

/// One path as the choice sees it.
struct PathMerits {
  Standing standing = Standing::kUntried;
  Ppm loss = 0;
  std::optional<uint32_t> latency_us;  ///< round trip and jitter; nullopt: not measured
  std::optional<Millis> stable_since;  ///< every probe answered since; nullopt: not stable
  uint32_t id = 0;                     ///< transport id: place in the candidate list
};

/// Loss by steps of 1 %, then latency by steps of 5 ms, then the longest stable, then the lowest
/// id; within the same standing.
bool ranks_before(const PathMerits& a, const PathMerits& b);

/// By rank, best first: places in `candidates`.
std::vector<size_t> rank(std::span<const PathMerits> candidates);

/// Is it worth to leave a living path for this one? It must be warm, and better by the factor on
/// the first of loss and latency that differs.
bool beats(const PathMerits& candidate, const PathMerits& living, double factor);

}  // namespace jvpn::jump
