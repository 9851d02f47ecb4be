#include "control/jump/path_watch.h"

#include <algorithm>
#include <cmath>

namespace jvpn::jump {
namespace {

constexpr uint32_t kLeastProbes = 3;
constexpr uint32_t kMostProbes = 24;
constexpr double kFalseDeaths = 1e-9;       // of a suspicion, by random loss
constexpr double kLeastLoss = 0.001;        // of a probe or its answer, where none was seen
constexpr double kUnmeasuredLoss = 0.02;    // where too little has come to tell
constexpr Millis kUnmeasuredPatience{333};  // RFC 9002, 6.2.2
constexpr Millis kGrain{2};                 // of a look that came a little early
constexpr Millis kMeasureUnsettled{100};    // until the variation is small
constexpr uint64_t kSettledSpreadUs = 5'000;
// Control looks after 100 000 sessions: what it spends here is bounded, whatever they carry.
constexpr uint32_t kLooksPerS = 30'000;
constexpr uint32_t kProbesPerS = 20'000;

Millis interval_of(const Policy& policy) {
  return policy.volatility.heartbeat_interval;
}

bool take(std::optional<TokenBucket>& bucket, uint32_t per_second, Millis now) {
  if (!bucket) bucket.emplace(per_second, now);
  return bucket->take(now);
}

/// Data goes out and only answers to our probes come in.
bool is_quiet(const Session& session) {
  return session.watch.pause != Millis{0};
}

}  // namespace

// ---- What it goes by.

bool PathWatch::watches(const Session& session) const {
  return context_.policy_of(session).volatility.detection == Detection::kAdaptive &&
         session.has_transport() && session.confirmed && session.binding.tx_installed &&
         !session.jumping() && session.record().idle_interval == Millis{0};
}

Millis PathWatch::floor(const Session& session) const {
  return context_.policy_of(session).volatility.detection_floor;
}

Millis PathWatch::patience(const Session& session) const {
  const auto answer_us = session.quality.path.rtt.patience_us();
  const Millis patience = answer_us ? Millis{*answer_us / 1'000 + 1} : kUnmeasuredPatience;
  return std::max(patience, floor(session));
}

uint32_t PathWatch::probes_needed(Millis now, const Session& session) const {
  const PathQuality& quality = session.quality.path;
  const Policy& policy = context_.policy_of(session);
  const auto in = quality.loss_in(policy);
  const auto fraction = [](Ppm loss) { return static_cast<double>(loss) / kWhole; };
  const double lost_in = in ? std::max(fraction(*in), kLeastLoss / 2) : kUnmeasuredLoss / 2;
  // The peer tells of loss only when there is some.
  const double lost_out = std::max(fraction(quality.loss_out(now).value_or(0)), lost_in);
  const double either = 1 - (1 - lost_in) * (1 - lost_out);
  if (either >= 1) return kMostProbes;
  const double needed = std::ceil(std::log(kFalseDeaths) / std::log(either) - 1e-6);
  return std::clamp(static_cast<uint32_t>(needed), kLeastProbes, kMostProbes);
}

// ---- Looks at what the data path counted.

Millis PathWatch::due(const Session& session) const {
  if (!watches(session)) return kNever;
  const auto& suspicion = session.watch.suspicion;
  if (!suspicion) return session.watch.due;
  return std::min(suspicion->next, verdict_at(session));
}

bool PathWatch::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  if (session.watch.suspicion) return pursue(now, session);
  look(now, session);
  return true;
}

void PathWatch::on_rows(Millis, Session& session) {
  if (!session.has_transport()) session.watch.suspicion.reset();
}

void PathWatch::on_rebound(Millis now, Session& session, const Path&) {
  session.watch = {};
  session.watch.due = now;
}

/// When the first of `count` packets that left since the latest look, evenly, left after the latest
/// arrival; nullopt: none did, for all that is known.
std::optional<Millis> PathWatch::left_since(Millis now, Millis heard, const WatchState& before,
                                            uint64_t count) {
  if (count == 0 || before.looked == Millis{0}) return std::nullopt;
  const Millis gap{(now - before.looked).value / count};
  if (before.looked >= heard) return before.looked + gap;
  return 2 * gap.value <= (now - heard).value ? std::optional(heard + gap) : std::nullopt;
}

/// The path is silent when nothing has come for `patience` since data left: looks are that far
/// apart, and know by what the workers noted when the latest packet came.
void PathWatch::look(Millis now, Session& session) {
  WatchState& watch = session.watch;
  const Millis interval = interval_of(context_.policy_of(session));
  watch.due = now + interval;
  if (!take(looks_, kLooksPerS, now)) return;
  const Activity activity = context_.environment.activity(session.peer);
  const uint64_t sent = activity.tx_packets - watch.tx_packets;
  const Millis heard = session.record().last_authentic;
  if (activity.rx_packets != watch.rx_packets) watch.pause = {};
  if (heard > watch.heard) watch.unanswered.reset();
  if (!watch.unanswered) watch.unanswered = left_since(now, heard, watch, sent);
  watch.looked = now;
  watch.heard = heard;
  watch.tx_packets = activity.tx_packets;
  watch.rx_packets = activity.rx_packets;
  if (sent != 0) measure(now, session);
  const Millis patient = std::max(patience(session), watch.pause);
  const Millis silent = watch.unanswered.value_or(heard) + patient;
  if (watch.unanswered && now >= silent) return begin(now, session, {.since = heard});
  if (sent != 0 || watch.unanswered) {
    watch.rest = {};
    watch.due = std::max(silent, now + kGrain);
  } else {  // seldom, until something leaves
    watch.rest = std::min(interval, std::max(patience(session), Millis{2 * watch.rest.value}));
    watch.due = now + watch.rest;
  }
}

void PathWatch::measure(Millis now, Session& session) {
  if (now < session.watch.measure_at) return;
  const RttMeter& rtt = session.quality.path.rtt;
  // A single late answer would make us patient for long.
  const bool settled = rtt.samples() == RttMeter::kSettled &&
                       rtt.patience_us() <= uint64_t{*rtt.rtt_us()} * 5 / 4 + kSettledSpreadUs;
  session.watch.measure_at =
      now + (settled ? interval_of(context_.policy_of(session)) : kMeasureUnsettled);
  if (!take(probes_, kProbesPerS, now)) return;
  liveness_.send_heartbeat(now, session);
}

// ---- The path is in doubt.

void PathWatch::on_told(Millis now, Session& session, const wire::PolicyHint& message) {
  const bool current = message.binding_version == session.binding_version().value;
  if (!current || !watches(session) || session.watch.suspicion) {
    ++context_.counters.control_stale;
    return;
  }
  begin(now, session, {.told = true, .since = now});
}

void PathWatch::begin(Millis now, Session& session, const Suspicion& kind) {
  WatchState& watch = session.watch;
  watch.due = now + patience(session);
  watch.suspicion.reset();
  if (!take(probes_, kProbesPerS, now)) return;
  Suspicion& doubt = watch.suspicion.emplace(kind);
  doubt.began = now;
  doubt.judge_at = doubt.asked = kNever;
  doubt.next = doubt.planned = now;
  pursue(now, session);
}

/// It carries both ways. When it brings nothing but answers, they are asked for less often.
void PathWatch::end(Millis now, Session& session) {
  WatchState& watch = session.watch;
  const bool told = watch.suspicion->told;
  watch.suspicion.reset();
  watch.due = now;
  if (told) return;
  watch.unanswered.reset();
  const Millis least = patience(session);
  const Millis most{interval_of(context_.policy_of(session)).value / 4};
  watch.pause = std::clamp(Millis{2 * watch.pause.value}, least, std::max(least, most));
}

/// What was planned for then is done only now: we have stood still.
bool PathWatch::is_late(Millis now, const Session& session, Millis planned) const {
  const Millis late = std::max(patience(session), Millis{2 * floor(session).value});
  return now > saturating_add(planned, late);
}

bool PathWatch::is_held_up(Millis now, const Session& session, uint32_t rtt_us) const {
  if (!watches(session) || Millis{rtt_us / 1'000} <= patience(session)) return false;
  const auto& doubt = session.watch.suspicion;
  return doubt || is_late(now, session, session.watch.due);
}

void PathWatch::on_answer(Millis now, Session& session, uint32_t rtt_us) {
  const auto& doubt = session.watch.suspicion;
  if (!doubt || !doubt->told) return;  // any arrival ends the others, at the next look
  if (now - Millis{rtt_us / 1'000} >= doubt->began) end(now, session);
}

/// False: the session has ended.
bool PathWatch::pursue(Millis now, Session& session) {
  Suspicion& doubt = *session.watch.suspicion;
  if (!doubt.told && session.record().last_authentic > doubt.since) {
    end(now, session);
    return true;
  }
  // What went unanswered while we stood still says nothing.
  if (is_late(now, session, doubt.planned)) {
    begin(now, session, {.told = doubt.told, .since = doubt.since});
    return true;
  }
  if (now >= verdict_at(session)) return conclude(now, session);
  if (now >= doubt.next) probe(now, session);
  doubt.planned = due(session);
  return true;
}

void PathWatch::probe(Millis now, Session& session) {
  Suspicion& doubt = *session.watch.suspicion;
  const uint32_t needed = probes_needed(now, session);
  liveness_.send_heartbeat(now, session);
  ++doubt.probes;
  doubt.next = now + gap(session, needed);
  if (doubt.probes >= needed && doubt.judge_at == kNever) doubt.judge_at = now + patience(session);
  const bool asks = doubt.told || doubt.probes == kLeastProbes || doubt.probes > needed;
  if (asks) ask(now, session);
}

/// The other paths, or, if it is the initiator's to decide, the initiator.
void PathWatch::ask(Millis now, Session& session) {
  Suspicion& doubt = *session.watch.suspicion;
  doubt.asked = std::min(doubt.asked, now);
  session.initiates() ? prober_.ask(now, session) : responder_.send_silent(now, session);
}

/// From the latest probe to the next. Those of a path that carried data until now follow each other
/// closely; the first of a path that didn't has its answer before.
Millis PathWatch::gap(const Session& session, uint32_t needed) const {
  const Suspicion& doubt = *session.watch.suspicion;
  const Millis answer = patience(session);
  if (doubt.probes == 1 && !doubt.told && is_quiet(session)) return answer;
  if (doubt.probes < needed) return std::max(floor(session), Millis{answer.value / 4});
  const uint32_t doublings = std::min(doubt.probes - needed, 10U);
  const Millis longest = std::max(answer, interval_of(context_.policy_of(session)));
  return std::min(longest, Millis{answer.value << doublings});
}

/// When another path answered, since it was asked, as soon as ever; nullopt: none did.
std::optional<Millis> PathWatch::answered_elsewhere(const Session& session) const {
  const Suspicion& doubt = *session.watch.suspicion;
  std::optional<Millis> earliest;
  for (const Candidate& each : candidates_.of(session)) {
    if (each.path == session.path || !each.answered_at || *each.answered_at < doubt.asked) continue;
    earliest = std::min(earliest.value_or(kNever), *each.answered_at);
  }
  return earliest;
}

/// A little later than the other path's answer: when the peer had stood still, its answers by this
/// path are right behind.
Millis PathWatch::verdict_at(const Session& session) const {
  const Suspicion& doubt = *session.watch.suspicion;
  if (!session.initiates() || doubt.judge_at == kNever) return kNever;
  const auto elsewhere = answered_elsewhere(session);
  return elsewhere ? std::max(doubt.judge_at, *elsewhere + Millis{floor(session).value / 2})
                   : kNever;
}

bool PathWatch::conclude(Millis now, Session& session) {
  const Millis since = session.watch.suspicion->since;
  SessionEvent death{Trigger::kTransportDead, Detail::kUnanswered};
  death.observed = (now - since).value;
  death.threshold = (verdict_at(session) - since).value;
  session.watch.suspicion.reset();
  return jumper_.path_died(now, session, death);
}

}  // namespace jvpn::jump
