// How an input leaves the engine: timers are set, the host carries out what was decided, and what
// the store answered at once is handled. Control thread only.
#include <algorithm>

#include "common/assert.h"
#include "control/engine/engine_impl.h"

namespace jvpn::engine {

void SessionEngine::Impl::leave(PeerId id) {
  carry_out();  // an audit may end the session
  if (const auto asked = store.take_asked()) take_replies(*asked);
  const Millis at = due(id);
  if (at == kNever) {
    timers.cancel(id.value);
  } else {
    timers.arm(id.value, at);
  }
}

void SessionEngine::Impl::leave(std::optional<PeerId> id) {
  if (id) return leave(*id);
  carry_out();
}

/// Switches are audited when the host has them, and before anything else happens.
void SessionEngine::Impl::carry_out() {
  hand_over();
  if (!parts.lifecycle.owes_audit()) return;
  parts.lifecycle.audit_switches();
  hand_over();
}

void SessionEngine::Impl::hand_over() {
  if (effects.empty()) return;
  JVPN_ASSERT(!carrying_out, "a host must not call the engine while it carries out effects");
  struct Done {
    Impl& impl;
    ~Done() {  // also when the host throws: keys don't stay in the list
      impl.effects.clear();
      impl.carrying_out = false;
    }
  };
  carrying_out = true;
  const Done done{*this};
  host.apply(effects);
}

// ---- The store.

void SessionEngine::Impl::take_replies(Millis now) {
  if (taking_replies) return;  // whoever takes them goes on
  taking_replies = true;
  while (const auto notice = store.take_notice()) {
    on_notice(now, *notice);
    if (host.slice_over()) break;
  }
  while (const auto reply = store.take()) {
    on_reply(now, *reply);
    if (host.slice_over()) break;
  }
  taking_replies = false;
}

void SessionEngine::Impl::on_reply(Millis now, const OwnershipReply& reply) {
  if (!table.knows(reply.peer)) return;
  if (reply.kind == OwnershipCall::Kind::kLoad) {
    parts.acceptor.on_loaded(now, reply);
    return leave(reply.peer);
  }
  if (reply.kind == OwnershipCall::Kind::kAcquire && reply.found &&
      reply.answer == OwnershipAnswer::kCommitted) {
    parts.resumer.replaced(now, reply.peer, *reply.found);
    carry_out();
  }
  if (reply.kind == OwnershipCall::Kind::kRelease && parts.resumer.ended(now, reply))
    return leave(reply.peer);
  if (parts.resumer.awaits(reply)) return end_commit(now, reply);
  Session* const session = table.peer(reply.peer).session.get();
  const bool about = session != nullptr && !session->initiates() && session->id == reply.session;
  if (!about) return;  // of a session that has ended
  if (session->responder->commit_pending == reply.ticket) return end_commit(now, reply);
  if (!store.reconcile(*session, reply))
    parts.lifecycle.forget(now, *session, reply.found ? reply.found->epoch : 0);
  leave(reply.peer);
}

void SessionEngine::Impl::on_notice(Millis now, const OwnershipNotice& notice) {
  if (notice.kind == OwnershipNotice::Kind::kWanted) return give_up(now, notice);
  begin_sweep(now, {.what = Sweep::What::kEpochOver, .epoch = notice.epoch});
}

/// The peer has come to another gateway, and shown there that it has its keys. What isn't here is
/// handed over, too: the store may have it as ours.
void SessionEngine::Impl::give_up(Millis now, const OwnershipNotice& wanted) {
  const auto id = table.peer_with(wanted.peer);
  if (id) {
    PeerState& peer = table.peer(*id);
    const bool here =
        peer.session && !peer.session->initiates() && peer.session->id == wanted.session;
    const bool comes =
        peer.pending && peer.pending->resumes() && peer.pending->id == wanted.session;
    if (here) parts.lifecycle.park(now, peer, Detail::kHandedOver, wanted.epoch);
    // The store may have answered already that it is ours; from now on it isn't.
    if (comes) parts.lifecycle.fail_pending(now, peer, Detail::kHandedOver);
    leave(*id);
  }
  store.hand_over(now, wanted.peer, wanted.session);
}

void SessionEngine::Impl::end_commit(Millis now, const OwnershipReply& reply) {
  const std::vector<WaitingMessage> waiting = parts.resumer.awaits(reply)
                                                  ? parts.resumer.end(now, reply)
                                                  : parts.responder.end_commit(now, reply);
  carry_out();
  for (const WaitingMessage& each : waiting) {
    dispatch.on_control(now, each.from, {each.index, each.serial}, each.counter, each.plaintext);
  }
  leave(reply.peer);
}

}  // namespace jvpn::engine
