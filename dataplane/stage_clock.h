// Where a worker's cycles go, stage by stage: for the perf harness. Worker core. Without a clock, a
// stage costs one predictable branch for each burst.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <rte_cycles.h>

namespace jvpn {

/// In the order in which a packet meets them.
enum class Stage : uint8_t {
  kRx,
  kClassify,  ///< headers; from the inside also the route, where it is at hand
  kSource,    ///< route of an opened packet's inner source, where the lane doesn't know it
  kRoute,     ///< of the destination, where it isn't at hand; delivery of those
  kLookup,    ///< receiver index or peer → record
  kReplay,    ///< lane, its owner and its window, before the cipher
  kOpen,      ///< AEAD, and meanwhile: window moved, counted, inner header, delivery
  kNumber,    ///< admission, lane and sequence, outer headers
  kSeal,      ///< AEAD
  kTx,
  kRest,  ///< other rings, RCU, counters
  kCount
};
inline constexpr size_t kStages = static_cast<size_t>(Stage::kCount);
inline constexpr std::array<const char*, kStages> kStageNames{
    "rx",   "classify", "source", "route", "lookup", "replay",
    "open", "number",   "seal",   "tx",    "rest"};

/// TSC cycles and laps, per stage.
struct StageClock {
  uint64_t last = 0;
  std::array<uint64_t, kStages> cycles{};
  std::array<uint64_t, kStages> laps{};

  /// What passed until now was none of the worker's.
  void start() { last = rte_rdtsc(); }
  /// What passed since the previous lap was `stage`.
  void lap(Stage stage) {
    const uint64_t now = rte_rdtsc();
    cycles[static_cast<size_t>(stage)] += now - last;
    ++laps[static_cast<size_t>(stage)];
    last = now;
  }
};

}  // namespace jvpn
