// Warm candidates: the initiator probes its standby paths, the responder remembers which addresses
// answered its challenge. A request from one of them commits at once: one round trip.
#include <algorithm>

#include "common/secret.h"
#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

/// Tokens of probes and of requests never stand for one another: no commit has version 0.
constexpr BindingVersion kProbe{0};
constexpr Millis kLeastInterval{500};

}  // namespace

/// Twice in the time for which the responder remembers a validation; more often when a choice may
/// be near. 0: candidates stay cold.
Millis SessionEngine::Impl::probe_interval(const Session& session) const {
  const Policy& policy = policy_of(session);
  Millis interval{policy.transport.candidate_validation_ttl.value / 2};
  const auto at_most = [&](Millis wish) {
    interval = std::min(interval, std::max(wish, kLeastInterval));
  };
  const State state = session.record.state;
  const auto& failback = policy.switching.failback_when_stable;
  if (state == State::kVolatile || state == State::kDegraded) {
    at_most(policy.volatility.heartbeat_interval);
  } else if (failback && peers[session.peer.value].candidates.front().path != session.path) {
    at_most(Millis{failback->value / 3});
  }
  return interval;
}

Millis SessionEngine::Impl::probe_due(const Session& session) const {
  const auto& candidates = peers[session.peer.value].candidates;
  const bool elsewhere = std::ranges::any_of(
      candidates, [&](const Candidate& each) { return each.path != session.path; });
  const bool may = session.initiator && elsewhere && session.confirmed &&
                   session.record.has_transport && !session.jump &&
                   session.record.idle_interval == Millis{0} &&
                   probe_interval(session) != Millis{0};
  return may ? session.probe_at : kNever;
}

/// The size of a data packet that fills the tunnel.
size_t SessionEngine::Impl::probe_bytes(const Session& session) const {
  const size_t own = host.inner_mtu(session.path);
  return session.peer_mtu == 0 ? own : std::min<size_t>(own, session.peer_mtu);
}

void SessionEngine::Impl::serve_probes(Millis now, Session& session) {
  if (now < probe_due(session)) return;
  session.probe_at = now + probe_interval(session);
  size_t left = policy_of(session).transport.max_candidate_count;
  for (Candidate& candidate : peer_of(session).candidates) {
    if (candidate.path == session.path) continue;
    if (left-- == 0) return;
    const SpareBinding* spare = spare_for(session, candidate.path, 1);
    if (spare == nullptr) return;
    if (candidate.nonce != 0) {  // the one before was lost
      candidate.answered <<= 1;
      ++candidate.probes;
      candidate.stable_since.reset();
    }
    candidate.nonce = ++session.probe_nonce;
    candidate.probed_at = now;
    wire::PathProbe probe{};
    probe.header = control_header(wire::ControlType::kPathProbe);
    probe.nonce = candidate.nonce;
    probe.clock_us = host.clock_us(now);
    probe.receiver = spare->local.value;
    probe.lanes = config.lanes;
    send_padded(session, *session.current, {spare->local, spare->remote, candidate.path}, probe,
                probe_bytes(session));
  }
}

/// Counts periods in which a probe's token is given out.
uint64_t SessionEngine::Impl::token_epoch(Millis now, const Session& session) const {
  const Millis period = policy_of(session).transport.candidate_validation_ttl;
  return now.value / std::max<uint64_t>(period.value, 1);
}

ReattachMemory& SessionEngine::Impl::memory_of(Millis now, Session& session) {
  if (!session.reattach) {
    const TokenBucket rate(policy_of(session).security.reattach_rate_per_s, now);
    session.reattach = std::make_unique<ReattachMemory>(
        ReattachMemory{rate, rate, 0, std::nullopt, BindingVersion{}, 0, {}, 0});
  }
  return *session.reattach;
}

void SessionEngine::Impl::on_path_probe(Millis now, Session& session, const Arrival& at,
                                        const wire::PathProbe& message) {
  if (session.initiator) return violation(now, session);
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  const bool known = spare != at.generation.spares.end() && message.receiver != 0;
  if (!known || !memory_of(now, session).probe_rate.take(now)) {
    ++counters.control_stale;
    return;
  }
  wire::PathChallenge answer{};
  answer.header = control_header(wire::ControlType::kPathChallenge);
  answer.nonce = message.nonce;
  answer.echo_us = message.clock_us;
  const Mac token = token_of(
      mac, path_secret,
      {session.id, at.from.remote, message.nonce, kProbe, at.index, token_epoch(now, session)});
  std::ranges::copy(token, answer.token);
  send_padded(session, at.generation, {at.index, ReceiverIndex{message.receiver}, at.from}, answer,
              std::min(at.bytes, probe_bytes(session)));
}

void SessionEngine::Impl::on_path_challenge(Millis now, Session& session, const Arrival& at,
                                            const wire::PathChallenge& message) {
  if (!session.initiator) return violation(now, session);
  const SpareBinding* spare = spare_at(session, at);
  if (spare == nullptr || message.nonce > session.probe_nonce) {
    ++counters.control_stale;
    return;
  }
  note_answer(now, session, *spare->path, message);
  wire::PathResponse answer{};
  answer.header = control_header(wire::ControlType::kPathResponse);
  answer.nonce = message.nonce;
  answer.receiver = spare->local.value;
  std::ranges::copy(message.token, answer.token);
  send_padded(session, at.generation, {spare->local, spare->remote, *spare->path}, answer,
              probe_bytes(session));
}

/// The probe that is out came back.
void SessionEngine::Impl::note_answer(Millis now, const Session& session, const Path& path,
                                      const wire::PathChallenge& message) {
  Candidate* candidate = candidate_at(session, path);
  if (candidate == nullptr || candidate->nonce != message.nonce) return;
  candidate->nonce = 0;
  candidate->answered = candidate->answered << 1 | 1;
  ++candidate->probes;
  if (!candidate->stable_since) candidate->stable_since = now;
  const uint64_t clock = host.clock_us(now);
  if (message.echo_us > clock || clock - message.echo_us > kLongestRttUs) return;
  candidate->rtt.add(static_cast<uint32_t>(clock - message.echo_us));
}

void SessionEngine::Impl::on_path_response(Millis now, Session& session, const Arrival& at,
                                           const wire::PathResponse& message) {
  if (session.initiator) return violation(now, session);
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  if (spare == at.generation.spares.end()) {
    ++counters.control_stale;
    return;
  }
  TokenClaim claim{session.id, at.from.remote, message.nonce,
                   kProbe,     at.index,       token_epoch(now, session)};
  bool proven = false;
  for (unsigned age = 0; age < 2; ++age, --claim.epoch) {
    proven |= equal_constant_time(token_of(mac, path_secret, claim), message.token);
  }
  if (!proven) {
    return emit_security(now, Reason::kSecAbuseControlPlane, Detail::kCandidateRefused,
                         session.peer, session.id, at.from);
  }
  ReattachMemory& memory = memory_of(now, session);
  const Millis until = now + policy_of(session).transport.candidate_validation_ttl;
  const auto same = std::ranges::find_if(memory.validated, [&](const ValidatedPath& each) {
    return each.from == at.from && each.index == at.index;
  });
  ValidatedPath& slot = same != memory.validated.end()
                            ? *same
                            : memory.validated[memory.next_validated++ % memory.validated.size()];
  slot = {at.from, at.index, ReceiverIndex{message.receiver}, until};
}

/// Responder: this very address answered a challenge on this index, not long ago.
bool SessionEngine::Impl::is_warm(Millis now, const Session& session, const Arrival& at) const {
  return std::ranges::any_of(session.reattach->validated, [&](const ValidatedPath& each) {
    return each.from == at.from && each.index == at.index && now < each.until;
  });
}

}  // namespace jvpn::engine
