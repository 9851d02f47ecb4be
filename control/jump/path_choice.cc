#include "control/jump/path_choice.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace jvpn::jump {
namespace {

constexpr Ppm kLossStep = kWhole / 100;
constexpr uint32_t kLatencyStepUs = 5'000;

uint32_t loss_steps(const PathMerits& path) {
  return path.loss / kLossStep;
}
uint32_t latency_steps(const PathMerits& path) {
  return path.latency_us.value_or(UINT32_MAX) / kLatencyStepUs;
}
auto order(const PathMerits& path) {
  const Millis since = path.stable_since.value_or(Millis{UINT64_MAX});
  return std::tuple(path.standing, loss_steps(path), latency_steps(path), since, path.id);
}

}  // namespace

bool ranks_before(const PathMerits& a, const PathMerits& b) {
  return order(a) < order(b);
}

std::vector<size_t> rank(std::span<const PathMerits> candidates) {
  std::vector<size_t> places(candidates.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::ranges::sort(places,
                    [&](size_t a, size_t b) { return ranks_before(candidates[a], candidates[b]); });
  return places;
}

bool beats(const PathMerits& candidate, const PathMerits& living, double factor) {
  if (candidate.standing != Standing::kWarm) return false;
  const auto better = [factor](double ours, double theirs) { return theirs >= ours * factor; };
  if (loss_steps(candidate) != loss_steps(living)) {
    return candidate.loss < living.loss && better(candidate.loss, living.loss);
  }
  if (!candidate.latency_us || !living.latency_us) return false;
  if (latency_steps(candidate) == latency_steps(living)) return false;
  return *candidate.latency_us < *living.latency_us &&
         better(*candidate.latency_us, *living.latency_us);
}

}  // namespace jvpn::jump
