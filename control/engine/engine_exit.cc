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
  if (parts.resumer.awaits(reply)) return end_commit(now, reply);
  Session* const session = table.peer(reply.peer).session.get();
  const bool about = session != nullptr && !session->initiates() && session->id == reply.session;
  if (!about) return;  // of a session that has ended
  if (session->responder->commit_pending == reply.ticket) return end_commit(now, reply);
  if (!store.reconcile(*session, reply))
    parts.lifecycle.forget(now, *session, reply.found ? reply.found->epoch : 0);
  leave(reply.peer);
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
