// What the responder asks for, which can't dial.
#include "control/jump/jumper.h"

namespace jvpn::jump {

void Jumper::on_hint(Millis now, Session& session, const wire::PolicyHint& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  std::optional<JumpWish>& wish = session.initiator->jumping.wish;
  if (message.binding_version != session.binding_version().value || wish) {
    ++context_.counters.control_stale;
    return;
  }
  switch (message.hint) {
    case wire::Hint::kRebind:
      if (now <
          switch_rate_allows(session.record(), context_.policy_of(session), SwitchKind::kRebind)) {
        ++context_.counters.control_stale;
        return;
      }
      wish = JumpWish{session.path, wire::ReattachCause::kRebind};
      break;
    case wire::Hint::kQuality:
      if (const auto better = better_path(now, session)) {
        wish = JumpWish{*better, wire::ReattachCause::kQuality};
      }
      break;
    case wire::Hint::kDrain:
      if (const Path target = candidates_.next_target(now, session); target != session.path)
        wish = JumpWish{target, wire::ReattachCause::kPlanned};  // or else there is nowhere to go
      break;
    default:  // others'
      break;
  }
  serve(now, session);
}

}  // namespace jvpn::jump
