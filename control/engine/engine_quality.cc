// How the bound path does (design §7), judged once per heartbeat interval:
//   counters of what arrives → loss; heartbeats → round trip and jitter; the peer's report → loss
//   of the other direction. A verdict that isn't healthy, or any verdict while health is in doubt,
//   goes through the state machine.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr Ppm kWorthTelling = kWhole / 100;

/// Only then does the state machine want to hear that all is well.
bool in_doubt(const Session& session) {
  const State state = session.record.state;
  return state == State::kVolatile || state == State::kDegraded;
}

}  // namespace

Millis SessionEngine::Impl::quality_due(const Session& session) const {
  return session.record.has_transport ? session.quality_at : kNever;
}

/// False: the session ended.
bool SessionEngine::Impl::judge_quality(Millis now, Session& session) {
  const Policy& policy = policy_of(session);
  session.quality_at =
      now + scaled_by_idle(policy.volatility.heartbeat_interval, session.record, policy);
  session.quality.in.sample(now, host.rx_progress(session.current->local),
                            policy.volatility.loss_window);
  report_loss(now, session);
  const QualityFinding found = session::judge(session.quality, policy, now);
  if (found.verdict == QualityVerdict::kHealthy && !in_doubt(session)) return true;
  SessionEvent event{Trigger::kQuality, found.detail};
  event.verdict = found.verdict;
  if (session.record.state != State::kRecovering && !drive(now, session, event)) return false;
  if (!session.initiator && session.record.state == State::kVolatile) ask_for_better(now, session);
  return true;
}

/// The peer can't see what of its packets is lost. It is told while there is something to tell, and
/// once more when it is over.
void SessionEngine::Impl::report_loss(Millis now, Session& session) {
  const Policy& policy = policy_of(session);
  const std::optional<Ppm> loss = session.quality.loss_in(policy);
  const bool worth = loss.value_or(0) >= kWorthTelling;
  if (!worth && !session.reported_loss) return;
  const bool over = session.reported_loss && !worth;
  if (!over && now < session.reported_at + Millis{policy.volatility.loss_window.value / 4}) return;
  session.reported_at = now;
  session.reported_loss = worth;
  wire::QualityReport message{};
  message.header = control_header(wire::ControlType::kQualityReport);
  message.binding_version = session.record.binding_version.value;
  message.loss_ppm = loss.value_or(0);
  send_control(session, *session.current, message);
}

void SessionEngine::Impl::on_quality_report(Millis now, Session& session,
                                            const wire::QualityReport& message) {
  if (message.binding_version != session.record.binding_version.value) {
    ++counters.control_stale;
    return;
  }
  session.quality.reported = std::min<Ppm>(message.loss_ppm, kWhole);
  session.quality.reported_until =
      now + Millis{2 * policy_of(session).volatility.loss_window.value};
  session.quality_at = now;
}

/// The responder can't dial: as long as its side is volatile, it asks the initiator to move.
void SessionEngine::Impl::ask_for_better(Millis now, Session& session) {
  const Millis patience = policy_of(session).volatility.volatile_to_recovering;
  if (now < std::max(session.record.entered, session.hinted_at) + patience) return;
  session.hinted_at = now;
  send_hint(session, session.path, wire::Hint::kQuality);
}

PathMerits SessionEngine::Impl::merits_of_bound(Millis now, const Session& session) const {
  const Policy& policy = policy_of(session);
  PathMerits merits;
  merits.standing = Standing::kWarm;
  merits.loss = session.quality.worst_loss(policy, now);
  const Millis silence =
      scaled_by_idle(policy.volatility.heartbeat_volatile, session.record, policy);
  if (now >= session.record.last_authentic + silence) merits.loss = kWhole;
  if (session.quality.rtt.rtt_us()) {
    merits.latency_us = *session.quality.rtt.rtt_us() + session.quality.rtt.jitter_us().value_or(0);
  }
  return merits;
}

}  // namespace jvpn::engine
