#include "control/jump/prober.h"

#include <algorithm>

#include "control/jump/path_mtu.h"
#include "control/protocol/liveness.h"

namespace jvpn::jump {
namespace {

constexpr Millis kLeastInterval{500};
// Between probes of a path that a session may go back to: half of what a responder takes.
constexpr Millis kLeastTrial{200};

}  // namespace

SpareBinding* assigned_spare(const Session& session, const Arrival& at) {
  if (&at.generation != session.current.get()) return nullptr;
  SpareBinding* const spare = at.generation.spares.at_index(at.index);
  return spare != nullptr && spare->path ? spare : nullptr;
}

/// Twice in the time for which the responder remembers a validation; more often when a choice may
/// be near. 0: candidates stay cold.
Millis Prober::interval(const Session& session) const {
  const Policy& policy = context_.policy_of(session);
  const Millis usual{policy.transport.candidate_validation_ttl.value / 2};
  const auto at_most = [&](Millis wish) { return std::min(usual, std::max(wish, kLeastInterval)); };
  const State state = session.state();
  const auto& failback = policy.switching.failback_when_stable;
  if (state == State::kVolatile || state == State::kDegraded) {
    return at_most(policy.volatility.heartbeat_interval);
  }
  const bool away = candidates_.of(session).front().path != session.path;
  return failback && away ? at_most(Millis{failback->value / 3}) : usual;
}

/// Of the preferred path that is on trial: as often as it takes to tell from a lossy one in the
/// time that policy gives it. kNever: none is.
Millis Prober::trial_interval(const Session& session) const {
  const Policy& policy = context_.policy_of(session);
  const auto& failback = policy.switching.failback_when_stable;
  const Candidate* const candidate = failback ? candidates_.preferred(session) : nullptr;
  const std::optional<uint64_t> answer_us =
      candidate == nullptr ? std::nullopt : candidate->rtt.patience_us();
  if (!answer_us) return kNever;
  const Millis wish{failback->value / Candidates::answers_to_trust(policy)};
  return std::max({kLeastTrial, wish, Millis{*answer_us / 1'000 + 1}});
}

/// When the next probe of the path on trial goes, or of all: whichever is first.
void Prober::plan(Millis now, Session& session) {
  session.initiator->probe.due = now + std::min(interval(session), trial_interval(session));
}

Millis Prober::due(const Session& session) const {
  if (!session.initiates() || !session.confirmed || !session.has_transport() || session.jumping() ||
      session.record().idle_interval != Millis{0}) {
    return kNever;
  }
  const bool elsewhere = std::ranges::any_of(
      candidates_.of(session), [&](const Candidate& each) { return each.path != session.path; });
  return elsewhere && interval(session) != Millis{0} ? session.initiator->probe.due : kNever;
}

bool Prober::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  const Millis usual = interval(session);
  const Candidate* const on_trial =
      trial_interval(session) < usual ? candidates_.preferred(session) : nullptr;
  plan(now, session);
  probe_those(now, session, [&](const Candidate& each) {
    return on_trial == nullptr || &each == on_trial || now >= each.probed_at + usual;
  });
  return true;
}

void Prober::ask(Millis now, Session& session) {
  probe_those(now, session, [&](const Candidate& each) {
    const uint64_t answer_us = each.rtt.patience_us().value_or(0);
    return each.nonce == 0 || now >= each.probed_at + Millis{answer_us / 1'000};
  });
}

/// As many candidates as policy has.
template <typename Wanted>
void Prober::probe_those(Millis now, Session& session, Wanted wanted) {
  size_t left = context_.policy_of(session).transport.max_candidate_count;
  for (Candidate& candidate : candidates_.of(session)) {
    if (candidate.path == session.path) continue;
    if (left-- == 0) return;
    const SpareBinding* const spare = bindings_.assign_spare(session, candidate.path, 1);
    if (spare == nullptr) return;
    if (wanted(candidate)) probe(now, session, candidate, *spare);
  }
}

void Prober::probe(Millis now, Session& session, Candidate& candidate, const SpareBinding& spare) {
  if (candidate.nonce != 0) Candidates::note_loss(candidate);  // the one before
  candidate.nonce = ++session.initiator->probe.nonce;
  candidate.probed_at = now;
  auto message = control_message<wire::PathProbe>(wire::ControlType::kPathProbe);
  message.nonce = candidate.nonce;
  message.clock_us = context_.environment.clock_us(now);
  message.receiver = spare.local.value;
  message.lanes = context_.config.lanes;
  channel_.send_padded(session, *session.current, {spare.local, spare.remote, candidate.path},
                       message, probe_bytes(context_.environment, session, candidate.path));
}

void Prober::on_rebound(Millis now, Session& session, const Path&) {
  if (session.initiates()) probe_at_once(now, session);
}

void Prober::on_new_keys(Millis now, Session& session) {
  if (session.initiates()) probe_at_once(now, session);
}

void Prober::on_path_challenge(Millis now, Session& session, const Arrival& at,
                               const wire::PathChallenge& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  const SpareBinding* const spare = assigned_spare(session, at);
  if (spare == nullptr || message.nonce > session.initiator->probe.nonce) {
    ++context_.counters.control_stale;
    return;
  }
  Candidate* const candidate = candidates_.at(session, *spare->path);
  if (candidate != nullptr && candidate->nonce == message.nonce) {
    const uint64_t clock = context_.environment.clock_us(now);
    const bool stale = message.echo_us > clock || clock - message.echo_us > protocol::kLongestRttUs;
    const std::optional<uint32_t> rtt_us =
        stale ? std::nullopt : std::optional(static_cast<uint32_t>(clock - message.echo_us));
    Candidates::note_answer(now, *candidate, rtt_us);
    Millis& due = session.initiator->probe.due;
    due = std::min(due, saturating_add(now, trial_interval(session)));
  }
  auto answer = control_message<wire::PathResponse>(wire::ControlType::kPathResponse);
  answer.nonce = message.nonce;
  answer.receiver = spare->local.value;
  std::ranges::copy(message.token, answer.token);
  channel_.send_padded(session, at.generation, {spare->local, spare->remote, *spare->path}, answer,
                       probe_bytes(context_.environment, session, *spare->path));
}

}  // namespace jvpn::jump
