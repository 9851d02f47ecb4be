#include "control/session/lifecycle.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn::session {

bool Lifecycle::transition(Millis now, Session& session, const SessionEvent& event,
                           NotifyPeer notify) {
  JVPN_ASSERT(session.state() != State::kTerminated, "an ended session is gone");
  const Policy& policy = context_.policy_of(session);
  if (event.trigger == Trigger::kTick && nothing_is_due(session.record_, policy, now)) return true;
  const Step taken = step(session.record_, event, policy, now);
  const SessionRecord before = session.take_record(taken.record);
  if (!taken.applied) {
    if (taken.refused) reporter_.emit_refused_trigger(now, session, event);
    return true;
  }
  session.last_reason = taken.reason;
  if (before.state == State::kBirth) session.bound_id = session.id;
  if (session.state() == State::kAttached) context_.table.peer_of(session).owned_elsewhere = false;
  reporter_.emit_rows(now, session, before, event, taken);
  const bool recovers =
      std::ranges::find(taken.rows(), State::kRecovering, &AppliedRow::to) != taken.rows().end();
  if (recovers && session.state() == State::kRecovering) session.recovery = {};
  if (taken.rows().back().from == State::kRecovering) session.recovery.told = true;
  if (session.state() == State::kTerminated) {
    close(now, session, taken.detail, notify);
    return false;
  }
  if (!session.has_transport()) bindings_.withdraw_tx(session);
  for (Part* part : parts_) part->on_rows(now, session);
  return true;
}

void Lifecycle::note(Millis now, Session& session, const SessionEvent& fact) {
  note_fact(session.record_, fact, now);
}

void Lifecycle::note_attempt(Millis now, Session& session) {
  RecoveryLog& log = session.recovery;
  // A planned jump that came to nothing isn't told of with the next one.
  const Millis forgotten = log.latest + context_.policy_of(session).switching.recovery_attempt;
  const bool over = log.attempts != 0 && session.state() != State::kRecovering && now >= forgotten;
  if (log.told || over) log = {};
  if (log.attempts++ == 0) log.began = now;
  log.latest = now;
}

void Lifecycle::note_gate(Session& session, Detail gate, bool denied) {
  if (session.recovery.told) session.recovery = {};
  session.recovery.gate = gate;
  if (denied) ++session.recovery.denied;
}

void Lifecycle::end_by_violation(Millis now, Session& session) {
  transition(now, session, {Trigger::kProtocolViolation, Detail::kImpossibleMessage});
}

void Lifecycle::end_corrupt(Millis now, PeerState& peer) {
  const SessionEvent corrupt{Trigger::kProtocolViolation, Detail::kCorruptRecord};
  if (peer.pending && is_resumption(*peer.pending)) drop_pending(now, peer);
  if (peer.pending) transition(now, *peer.pending, corrupt);
  if (peer.session) transition(now, *peer.session, corrupt);
}

void Lifecycle::supersede(Millis now, PeerState& peer, NotifyPeer notify) {
  if (!peer.session) return;
  transition(now, *peer.session, {Trigger::kTerminate, Detail::kSuperseded}, notify);
}

void Lifecycle::end_all(Millis now, PeerState& peer, Detail detail) {
  if (peer.pending && is_resumption(*peer.pending)) drop_pending(now, peer);
  if (peer.pending) transition(now, *peer.pending, {Trigger::kTerminate, detail});
  if (peer.session) transition(now, *peer.session, {Trigger::kTerminate, detail});
}

void Lifecycle::forget(Millis now, Session& session, uint64_t to, uint64_t from) {
  PeerState& peer = context_.table.peer_of(session);
  JVPN_ASSERT(peer.session.get() == &session, "only an attached session has an owner");
  reporter_.emit_security(now, Reason::kSecOwnershipAnomaly, Detail::kOwnershipLost, session.peer,
                          session.id, session.path);
  reporter_.emit_ownership(now, session, Reason::kSecOwnershipAnomaly, Detail::kOwnershipLost,
                           {from != 0 ? from : context_.store.ownership().epoch(), to});
  bindings_.withdraw_tx(session, Waiting::kLetGo);
  const std::unique_ptr<Session> lost = std::move(peer.session);
  peer.owned_elsewhere = true;
  context_.table.end(lost->id);
  bindings_.release_keys(now, *lost, false);
  ++context_.counters.totals.forgotten;
}

/// Takes a TERMINATED session away. In-flight packets of a superseded one are still delivered.
void Lifecycle::close(Millis now, Session& session, Detail detail, NotifyPeer notify) {
  PeerState& peer = context_.table.peer_of(session);
  const bool attached = peer.session.get() == &session;
  JVPN_ASSERT(attached || peer.pending.get() == &session, "a session belongs to its peer");
  const std::unique_ptr<Session> ended = std::move(attached ? peer.session : peer.pending);
  context_.table.end(ended->id);
  const bool superseded = detail == Detail::kSuperseded;
  if (attached && notify == NotifyPeer::kYes) send_terminate(*ended, detail);
  if (!superseded) bindings_.withdraw_tx(*ended, Waiting::kLetGo);
  if (attached && !ended->initiates()) context_.store.release(now, *ended, detail);
  const Millis keyed = ended->current ? ended->current->created : ended->record().born;
  bindings_.release_keys(now, *ended, attached && superseded);
  if (!attached) return;
  context_.counters.totals.count_end(ended->last_reason);
  context_.table.remember({ended->id, ended->peer, ended->last_reason, detail, now,
                           context_.configured(ended->peer).name, keyed});
  if (superseded || !peer.dial || peer.dial->active) return;
  // The dial stays, so the session is opened again: at once only if a time limit ended it.
  const bool by_time = detail == Detail::kNone;
  peer.dial->start(by_time ? now : now + Millis{kRetryMs});
}

void Lifecycle::send_terminate(const Session& session, Detail detail) {
  if (session.current == nullptr || !session.binding.tx_installed) return;
  auto message = control_message<wire::Terminate>(wire::ControlType::kTerminate, wire::kCritical);
  message.reason = static_cast<uint16_t>(session.last_reason);
  message.detail = static_cast<uint16_t>(detail);
  channel_.send(session, message);
}

void Lifecycle::rebind(Millis now, Session& session, uint16_t number, const Path& path) {
  JVPN_ASSERT(session.state() == State::kAttached, "a binding is swapped by its commit");
  const Path old_path = session.path;
  bindings_.rebind(now, session, number, path);
  for (Part* part : parts_) part->on_rebound(now, session, old_path);
}

void Lifecycle::report_switch(Millis now, const Session& session,
                              const std::optional<Path>& old_path) {
  reporter_.emit_switch(now, session, old_path);
  unaudited_.push_back({now, session.peer});
}

void Lifecycle::audit_switches() {
  for (const Switch& each : unaudited_) {
    PeerState& peer = context_.table.peer(each.peer);
    if (!peer.session) continue;
    Session& session = *peer.session;
    const InvariantFindings found =
        audit_invariants(peer, context_.config.lanes, context_.environment.published(each.peer));
    session.id = session.bound_id;  // events, store and peer know it by that
    reporter_.emit_invariants(each.at, session, found);
    const Detail broken = found.no_reset != Detail::kNone ? found.no_reset : found.single_active;
    if (broken != Detail::kNone)
      transition(each.at, session, {Trigger::kProtocolViolation, broken});
  }
  unaudited_.clear();
}

void Lifecycle::announce_new_keys(Millis now, Session& session) {
  for (Part* part : parts_) part->on_new_keys(now, session);
}

}  // namespace jvpn::session
