// Gives what a program's admin socket tells to whoever scrapes.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include <nlohmann/json.hpp>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "common/result.h"
#include "tools/jvpn/metrics/event_metrics.h"

namespace jvpn::metrics {

class Exporter : public prometheus::Collectable {
 public:
  /// An answer is good for so long: many who scrape ask the program no more often.
  static constexpr std::chrono::milliseconds kFresh{100};
  using Clock = std::chrono::steady_clock;
  /// Asks the program: an object, or why there is none.
  using Ask = std::function<Result<nlohmann::json>()>;

  /// `events` outlives it. `now` is for tests.
  Exporter(Ask ask, const EventMetrics& events, std::function<Clock::time_point()> now = Clock::now)
      : ask_(std::move(ask)), events_(events), now_(std::move(now)) {}

  /// On any thread; waits for the program for as long as `ask` does.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  void refresh() const;

  Ask ask_;
  const EventMetrics& events_;
  std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;  ///< one asks, others wait for its answer
  mutable nlohmann::json show_;
  mutable std::chrono::duration<double> took_{0};
  mutable Clock::time_point answered_;  ///< epoch: never
};

}  // namespace jvpn::metrics
