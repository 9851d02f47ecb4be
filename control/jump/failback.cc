#include "control/jump/failback.h"

#include <algorithm>

namespace jvpn::jump {
namespace {

constexpr unsigned kMostDoublings = 4;  // of the wait before a failback

}  // namespace

/// The most preferred path that answers all its probes; nullptr when that is the bound one, or when
/// policy leaves sessions where they are.
Candidate* Failback::target(const Session& session) const {
  const bool may = session.initiates() && session.state() == State::kAttached &&
                   context_.policy_of(session).switching.failback_when_stable &&
                   !session.jumping() && !session.wants_jump();
  return may ? candidates_.preferred(session) : nullptr;
}

Millis Failback::due(const Session& session) const {
  const Candidate* const candidate = target(session);
  if (candidate == nullptr) return kNever;
  const Policy& policy = context_.policy_of(session);
  if (candidate->stable_answers < Candidates::answers_to_trust(policy)) return kNever;
  const Millis wait = *policy.switching.failback_when_stable;
  return *candidate->stable_since + Millis{wait.value << session.initiator->failback.undone};
}

bool Failback::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  Candidate& candidate = *target(session);
  if (!candidates_.is_warm(now, session, candidate)) {
    candidate.stable_since = now;
    return true;
  }
  session.initiator->jumping.wish = JumpWish{candidate.path, wire::ReattachCause::kFailback};
  return jumper_.serve(now, session);
}

void Failback::on_rebound(Millis now, Session& session, const Path&) {
  if (!session.initiates()) return;
  FailbackState& failback = session.initiator->failback;
  if (session.binding.cause == wire::ReattachCause::kFailback) {
    failback.at = now;
  } else if (failback.at) {
    const bool soon = now < *failback.at + kMinute;
    failback.undone = soon ? std::min(failback.undone + 1, kMostDoublings) : 0;
    failback.at.reset();
  }
}

}  // namespace jvpn::jump
