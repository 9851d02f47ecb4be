#include "tools/jvpn/metrics/exporter.h"

#include "tools/jvpn/metrics/metric_table.h"

namespace jvpn::metrics {

std::vector<prometheus::MetricFamily> Exporter::Collect() const {
  const std::lock_guard guard(mutex_);
  if (answered_ == Clock::time_point{} || now_() >= answered_ + kFresh) refresh();
  const std::chrono::duration<double> since_epoch =
      std::chrono::system_clock::now().time_since_epoch();
  return collect({.show = show_,
                  .events = events_,
                  .answer_seconds = took_.count(),
                  .unix_seconds = since_epoch.count()});
}

void Exporter::refresh() const {
  const Clock::time_point asked = now_();
  Result<nlohmann::json> answer = ask_();
  show_ = answer ? std::move(*answer) : nlohmann::json();
  answered_ = now_();
  took_ = answered_ - asked;
}

}  // namespace jvpn::metrics
