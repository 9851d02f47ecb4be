#include "tools/jvpn/metrics/event_metrics.h"

#include <algorithm>

#include "control/session/reporter.h"
#include "control/session/totals.h"
#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {
namespace {

const prometheus::Histogram::BucketBoundaries& jump_buckets() {
  static const prometheus::Histogram::BucketBoundaries kBuckets{
      0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30};
  return kBuckets;
}
const prometheus::Histogram::BucketBoundaries& stay_buckets() {
  static const prometheus::Histogram::BucketBoundaries kBuckets{0.01, 0.05, 0.1, 0.2, 0.5, 1,    2,
                                                                5,    10,   30,  60,  300, 1'800};
  return kBuckets;
}

}  // namespace

EventMetrics::EventMetrics(size_t most_stays) : most_stays_(most_stays) {
  for (size_t cause = 0; cause < session::SessionTotals::kCauses; ++cause)
    jumps_.try_emplace(session::to_string(static_cast<wire::ReattachCause>(cause)), jump_buckets());
  for (const auto state :
       {session::State::kVolatile, session::State::kRecovering, session::State::kDegraded})
    stays_.try_emplace(session::to_string(state), stay_buckets());
  for (const ReasonText& each : all_reasons()) by_reason_[each.reason] = 0;
}

uint64_t EventMetrics::count(Reason reason) const {
  const auto found = by_reason_.find(reason);
  return found == by_reason_.end() ? 0 : found->second.load(std::memory_order_relaxed);
}

std::optional<EventRecord> EventMetrics::take(std::string_view line, bool counted) {
  auto event = read_event(line);
  if (!event || !is_new(*event, counted)) return std::nullopt;
  follow_state(*event, counted);
  if (!counted) return event;
  if (event->reason) by_reason_.at(*event->reason).fetch_add(1, std::memory_order_relaxed);
  const auto jump = jumps_.find(event->cause);
  if (jump != jumps_.end() && event->latency_ms)
    jump->second.Observe(static_cast<double>(*event->latency_ms) * kMilli);
  return event;
}

/// What is missing before it is counted. No stay that began before a gap is known to have lasted.
bool EventMetrics::is_new(const EventRecord& event, bool counted) {
  if (event.sequence <= sequence_) {
    if (event.boot_ms <= boot_ms_) return false;
    sequence_ = 0;  // another run of the program, which counts from 1 again
    ill_.clear();
  }
  const uint64_t before = event.lost == 0 ? event.sequence - 1 : event.sequence;
  const bool gap = before > sequence_;
  if (gap && counted) missed_.fetch_add(before - sequence_, std::memory_order_relaxed);
  if (gap) ill_.clear();
  sequence_ = event.sequence;
  boot_ms_ = std::max(boot_ms_, event.boot_ms);
  return true;
}

void EventMetrics::follow_state(const EventRecord& event, bool counted) {
  if (event.kind != session::EventKind::kStateChange || !event.from || !event.to) return;
  if (const auto left = ill_.find(event.session); left != ill_.end()) {
    const Stay stay = left->second;
    ill_.erase(left);
    if (counted && stay.state == *event.from && event.boot_ms >= stay.since_ms)
      stays_.at(session::to_string(stay.state))
          .Observe(static_cast<double>(event.boot_ms - stay.since_ms) * kMilli);
  }
  if (stays_.contains(session::to_string(*event.to)) && ill_.size() < most_stays_)
    ill_[event.session] = {*event.to, event.boot_ms};
}

}  // namespace jvpn::metrics
