// How a session goes on under the keys of a fresh handshake, at either end; and how it is left for
// another run. Part of Lifecycle: records change here.
#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"
#include "control/session/lifecycle.h"

namespace jvpn::session {

void Lifecycle::drop_pending(Millis now, PeerState& peer) {
  // The session that it would go on with doesn't wait for that commit any more; what the store
  // makes of it is known by its ticket.
  Session* const session = peer.session.get();
  if (peer.pending->commit_pending() && session != nullptr && session->commit_pending() &&
      session->responder->commit_pending == peer.pending->responder->commit_pending) {
    session->responder->commit_pending = 0;
    session->responder->waiting.clear();
  }
  bindings_.release_keys(now, *peer.pending, false);
  peer.pending.reset();
}

void Lifecycle::fail_pending(Millis now, PeerState& peer, Detail detail) {
  if (!peer.pending) return;
  if (is_resumption(*peer.pending)) return drop_pending(now, peer);
  transition(now, *peer.pending, {Trigger::kHandshakeFailed, detail});
}

void Lifecycle::serve_pending(Millis now, PeerState& peer) {
  if (!peer.pending) return;
  if (!is_resumption(*peer.pending)) {
    transition(now, *peer.pending, {Trigger::kTick});
  } else if (now >= pending_due(peer) && !peer.pending->commit_pending()) {
    drop_pending(now, peer);
  }
}

Millis Lifecycle::pending_due(const PeerState& peer) const {
  if (!peer.pending) return kNever;
  const Session& pending = *peer.pending;
  if (pending.commit_pending()) return pending.responder->store.answer_due;
  if (is_resumption(pending)) return pending.record().born + Millis{kHandshakeTimeoutMs};
  return next_deadline(pending.record(), context_.config.policy);
}

Session& Lifecycle::carry_over(Millis now, PeerState& peer, std::unique_ptr<Session> next,
                               bool drain) {
  JVPN_ASSERT(peer.session && peer.session->id == next->id, "a session goes on as itself");
  const std::unique_ptr<Session> old = std::move(peer.session);
  if (old->binding.ahead) bindings_.withdraw_tx(*old);
  next->take_record(old->record_);
  next->bound_id = old->bound_id;
  next->last_reason = old->last_reason;
  next->budgets = old->budgets;
  next->recovery = old->recovery;
  next->binding.switches = old->binding.switches;
  next->binding.tx_installed = old->binding.tx_installed;
  next->binding.packets_wait = old->binding.packets_wait;
  if (next->initiates()) {  // nonces rise in a session, whatever its keys
    next->initiator->jumping.nonce = old->initiator->jumping.nonce;
    next->initiator->failback = old->initiator->failback;
  }
  bindings_.release_keys(now, *old, drain);
  peer.session = std::move(next);
  note(now, *peer.session,
       {.trigger = Trigger::kKeysRenewed, .time = now + Millis{kKeyRefuseAfterMs}});
  return *peer.session;
}

Session& Lifecycle::restore(PeerState& peer, std::unique_ptr<Session> next) {
  JVPN_ASSERT(!peer.session, "a peer key has one session");
  next->take_record(next->responder->resumption->record);
  next->bound_id = next->id;
  context_.table.begin(next->id, false);
  peer.session = std::move(next);
  return *peer.session;
}

bool Lifecycle::commit_resumed(Millis now, Session& session, BindingVersion told,
                               const std::optional<Path>& old_path) {
  const BindingVersion before = session.binding_version();
  SessionEvent event{Trigger::kReattachCommitted, Detail::kResumed, told};
  event.planned = true;
  if (!transition(now, session, event)) return false;
  if (session.binding_version() == before) {  // a policy that was loaded meanwhile forbids it
    transition(now, session, {Trigger::kTerminate, Detail::kPolicyRefused});
    return false;
  }
  session.binding.cause = wire::ReattachCause::kResume;
  ++session.binding.switches;
  if (!session.initiates()) {
    context_.effects.bind_rx({session.current->local, session.path});
    // Nobody tells what came under the keys of before: what was sent is held no longer.
    if (context_.policy_of(session).switching.holds())
      context_.effects.settle_hold(session.peer, {}, false);
  }
  bindings_.install_tx(session);
  for (Part* part : parts_) part->on_rebound(now, session, old_path.value_or(session.path));
  reporter_.emit_accepted(now, session, session.path);
  report_switch(now, session, old_path);
  return true;
}

void Lifecycle::park(Millis now, PeerState& peer, Detail why, uint64_t to) {
  fail_pending(now, peer, why);
  if (!peer.session) return;
  Session& session = *peer.session;
  ++context_.counters.parked;
  reporter_.emit_ownership(now, session, Reason::kSessionParked, why,
                           {context_.store.ownership().epoch(), to});
  const bool drains = why == Detail::kHandedOver;
  if (drains) context_.effects.hand_over(session.peer);
  bindings_.withdraw_tx(session, Waiting::kLetGo);
  const std::unique_ptr<Session> parked = std::move(peer.session);
  context_.table.end(parked->id);
  // Its peer goes on sending here until the other gateway has confirmed the session.
  const Millis until_confirmed = context_.policy_of(*parked).switching.recovery_attempt;
  bindings_.release_keys(now, *parked, drains, drains ? until_confirmed : Millis{0});
}

}  // namespace jvpn::session
