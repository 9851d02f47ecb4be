#include "control/jump/quality_monitor.h"

#include <algorithm>

namespace jvpn::jump {
namespace {

constexpr Ppm kWorthTelling = kWhole / 100;

/// Only then are healthy verdicts passed on.
bool in_doubt(const Session& session) {
  return session.state() == State::kVolatile || session.state() == State::kDegraded;
}

}  // namespace

Millis QualityMonitor::due(const Session& session) const {
  return session.has_transport() ? session.quality.due : kNever;
}

bool QualityMonitor::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  const Policy& policy = context_.policy_of(session);
  session.quality.due =
      now + scaled_by_idle(policy.volatility.heartbeat_interval, session.record(), policy);
  session.quality.path.in.sample(now, context_.environment.rx_progress(session.current->local),
                                 policy.volatility.loss_window);
  report_loss(now, session);
  const QualityFinding found = assess(session.quality.path, policy, now);
  if (found.verdict == QualityVerdict::kHealthy && !in_doubt(session)) return true;
  SessionEvent event{Trigger::kQuality, found.detail};
  event.verdict = found.verdict;
  event.observed = found.observed;
  const bool recovers = session.state() == State::kRecovering;
  if (!recovers && !lifecycle_.transition(now, session, event)) return false;
  if (!session.initiates() && session.state() == State::kVolatile) {
    ask_for_better_path(now, session);
  }
  return true;
}

void QualityMonitor::on_rebound(Millis now, Session& session, const Path& old_path) {
  const bool same_route =
      old_path.interface == session.path.interface && old_path.local == session.path.local;
  const RttMeter before = session.quality.path.rtt;
  session.quality.path = {};
  if (same_route) session.quality.path.rtt = before;
  session.quality.due = now;
  session.quality.reported_loss = false;
  if (!session.initiates()) return;
  const Candidate* const taken = candidates_.at(session, session.path);
  if (taken != nullptr) session.quality.path.rtt = taken->rtt;
}

/// The peer can't see which of its packets are lost. Reports while there is loss, and once after it
/// ends.
void QualityMonitor::report_loss(Millis now, Session& session) {
  QualityState& quality = session.quality;
  const Policy& policy = context_.policy_of(session);
  const std::optional<Ppm> loss = quality.path.loss_in(policy);
  const bool worth = loss.value_or(0) >= kWorthTelling;
  if (!worth && !quality.reported_loss) return;
  const bool over = quality.reported_loss && !worth;
  const Millis interval{policy.volatility.loss_window.value / 4};
  if (!over && now < quality.reported_at + interval) return;
  quality.reported_at = now;
  quality.reported_loss = worth;
  auto message = control_message<wire::QualityReport>(wire::ControlType::kQualityReport);
  message.binding_version = session.binding_version().value;
  message.loss_ppm = loss.value_or(0);
  channel_.send(session, message);
}

void QualityMonitor::on_quality_report(Millis now, Session& session,
                                       const wire::QualityReport& message) {
  if (message.binding_version != session.binding_version().value) {
    ++context_.counters.control_stale;
    return;
  }
  const Millis window = context_.policy_of(session).volatility.loss_window;
  session.quality.path.reported = std::min<Ppm>(message.loss_ppm, kWhole);
  session.quality.path.reported_until = now + Millis{2 * window.value};
  session.quality.due = now;
}

/// The responder can't dial: as long as its side is volatile, it asks the initiator to move.
void QualityMonitor::ask_for_better_path(Millis now, Session& session) {
  Millis& hinted_at = session.responder->hinted_at;
  const Millis patience = context_.policy_of(session).volatility.volatile_to_recovering;
  if (now < std::max(session.record().entered, hinted_at) + patience) return;
  hinted_at = now;
  channel_.send_hint(session, session.path, wire::Hint::kQuality);
}

PathMerits QualityMonitor::merits_of_bound(Millis now, const Session& session) const {
  const PathQuality& quality = session.quality.path;
  PathMerits merits;
  merits.standing = Standing::kWarm;
  merits.loss = quality.worst_loss(context_.policy_of(session), now);
  if (now >= silence_is_volatile(session.record(), context_.policy_of(session))) {
    merits.loss = kWhole;
  }
  if (quality.rtt.rtt_us()) {
    merits.latency_us = *quality.rtt.rtt_us() + quality.rtt.jitter_us().value_or(0);
  }
  return merits;
}

}  // namespace jvpn::jump
