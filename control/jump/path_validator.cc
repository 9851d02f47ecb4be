#include "control/jump/path_validator.h"

#include <algorithm>

#include "common/secret.h"
#include "control/jump/path_mtu.h"

namespace jvpn::jump {
namespace {

/// Tokens of probes and of requests never stand for one another: no commit has version 0.
constexpr BindingVersion kProbe{0};

}  // namespace

void set_rates(Millis now, const Policy& policy, ReattachMemory& memory) {
  const uint32_t rate = policy.security.reattach_rate_per_s;
  memory.rate = TokenBucket(rate, now);
  memory.pace = TokenBucket(rate, Millis{0});  // of another clock, which may be behind
}

ReattachMemory& reattach_memory(Millis now, const Context& context, Session& session) {
  std::unique_ptr<ReattachMemory>& memory = session.responder->reattach;
  if (!memory) {
    const TokenBucket rate(context.policy_of(session).security.reattach_rate_per_s, now);
    memory = std::make_unique<ReattachMemory>(
        ReattachMemory{rate, rate, {}, std::nullopt, BindingVersion{}, 0, {}, 0, {}});
    set_rates(now, context.policy_of(session), *memory);
  }
  return *memory;
}

/// What the token of a probe vouches for; `epoch` counts the periods in which one is given out.
TokenClaim PathValidator::claim(Millis now, const Session& session, const Arrival& at,
                                uint64_t nonce) const {
  const Millis period = context_.policy_of(session).transport.candidate_validation_ttl;
  const uint64_t epoch = now.value / std::max<uint64_t>(period.value, 1);
  return {session.id, at.from.remote, nonce, kProbe, at.index, epoch};
}

void PathValidator::on_path_probe(Millis now, Session& session, const Arrival& at,
                                  const wire::PathProbe& message) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  const bool known = at.generation.spares.at_index(at.index) != nullptr && message.receiver != 0;
  if (!known) {
    ++context_.counters.control_stale;
    return;
  }
  if (!context_.admit(now, session, Input::kPathProbe)) return;
  auto answer = control_message<wire::PathChallenge>(wire::ControlType::kPathChallenge);
  answer.nonce = message.nonce;
  answer.echo_us = message.clock_us;
  const Mac token = token_of(context_.mac, secret_, claim(now, session, at, message.nonce));
  std::ranges::copy(token, answer.token);
  channel_.send_padded(session, at.generation, {at.index, ReceiverIndex{message.receiver}, at.from},
                       answer,
                       std::min(at.bytes, probe_bytes(context_.environment, session, at.from)));
}

void PathValidator::on_path_response(Millis now, Session& session, const Arrival& at,
                                     const wire::PathResponse& message) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  if (at.generation.spares.at_index(at.index) == nullptr) {
    ++context_.counters.control_stale;
    return;
  }
  if (!context_.admit(now, session, Input::kPathResponse)) return;
  TokenClaim vouched = claim(now, session, at, message.nonce);
  bool proven = false;
  for (unsigned age = 0; age < 2; ++age, --vouched.epoch) {
    proven |= equal_constant_time(token_of(context_.mac, secret_, vouched), message.token);
  }
  if (!proven) {
    return reporter_.emit_security(now, Reason::kAuthFail, Detail::kCandidateRefused, session.peer,
                                   session.id, at.from);
  }
  ReattachMemory& memory = reattach_memory(now, context_, session);
  const Millis until = now + context_.policy_of(session).transport.candidate_validation_ttl;
  const auto same = std::ranges::find_if(memory.validated, [&](const ValidatedPath& each) {
    return each.from == at.from && each.index == at.index;
  });
  ValidatedPath& slot = same != memory.validated.end()
                            ? *same
                            : memory.validated[memory.next_validated++ % memory.validated.size()];
  slot = {at.from, at.index, ReceiverIndex{message.receiver}, until};
}

bool PathValidator::is_warm(Millis now, const Session& session, const Arrival& at) {
  const ReattachMemory* const memory = session.responder->reattach.get();
  return memory != nullptr &&
         std::ranges::any_of(memory->validated, [&](const ValidatedPath& each) {
           return each.from == at.from && each.index == at.index && now < each.until;
         });
}

}  // namespace jvpn::jump
