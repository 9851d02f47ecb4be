#include "control/protocol/resumer.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn::protocol {
namespace {

using What = Resumer::Verdict::What;

constexpr size_t kMostClaims = 4'096;  // that wait for the store; each holds a handshake

/// Why a stored session is past its time; kNone when it isn't.
Reason expired(const StoredSession& found, const Policy& policy) {
  if (found.lived >= policy.session.max_lifetime) return Reason::kTtlSessionExpired;
  if (found.unserved >= policy.session.transport_loss_ttl) return Reason::kTtlTransportLossExpired;
  return Reason::kNone;
}

Resumption resumption_of(Millis now, const StoredSession& found) {
  Resumption resumption;
  SessionRecord& record = resumption.record;
  record = new_record(now, now + Millis{kKeyRefuseAfterMs});
  record.state = State::kRecovering;
  record.version = found.ceiling;
  record.binding_version = found.binding_version;
  record.lived = found.lived;
  record.transport_lost = now - found.unserved;
  resumption.from_epoch = found.epoch;
  resumption.told = version_after_commit(record);
  return resumption;
}

}  // namespace

// ---- The claim.

Session* Resumer::living(PeerId id, const SessionId& claimed) const {
  Session* const session = context_.table.peer(id).session.get();
  const bool here = session != nullptr && !session->initiates() && session->id == claimed;
  return here ? session : nullptr;
}

Resumer::Verdict Resumer::examine(Millis now, const Path& from, PeerId id,
                                  InitiationState& initiation) {
  const wire::ResumeClaim& claim = *initiation.claim;
  const SessionId claimed{claim.session_id};
  if (const Session* const session = living(id, claimed))
    return examine_living(now, from, *session, claim);
  if (context_.table.remembers(claimed) || context_.store.is_ending(claimed))
    return refuse(now, id, claim, {Reason::kSessionExpired, Detail::kNone, "expired"}, from);
  if (context_.table.used(claimed))  // alive, and not this peer's
    return refuse(now, id, claim, {Reason::kAuthFail, Detail::kNone, "peer"}, from);
  if (!claims_.contains(id.value) && claims_.size() >= kMostClaims) {
    return refuse(now, id, claim,
                  {Reason::kOwnershipConflict, Detail::kStoreUnavailable, "ownership"}, from);
  }
  const Millis until = now + context_.store.patience();
  const uint64_t ticket = context_.store.load(now, id, claimed);
  claims_.insert_or_assign(id.value, Claim{ticket, from, std::move(initiation), until});
  return {What::kWait};
}

Resumer::Verdict Resumer::examine_living(Millis now, const Path& from, const Session& session,
                                         const wire::ResumeClaim& claim) {
  Finding finding = judge_living(now, session);
  if (BindingVersion{claim.binding_version} > session.binding_version())
    finding = {Reason::kFreshnessInvalid, Detail::kFutureVersion, "binding_version"};
  if (!finding.ok()) return refuse(now, session.peer, claim, finding, from);
  auto resumption = std::make_unique<Resumption>();
  resumption->living = true;
  resumption->told = version_after_commit(session.record());
  return {What::kResume, std::move(resumption)};
}

/// What a jump would have to pass now.
Finding Resumer::judge_living(Millis now, const Session& session) const {
  if (session.commit_pending() || !context_.store.may_commit(session))
    return {Reason::kOwnershipConflict, Detail::kStoreUnavailable, "ownership"};
  const Policy& policy = context_.policy_of(session);
  return judge_switch(session.record(), switch_kind(session.record(), policy, now, false), policy,
                      now);
}

std::optional<Resumer::Judged> Resumer::loaded(Millis now, const OwnershipReply& reply) {
  const auto waits = claims_.find(reply.peer.value);
  if (waits == claims_.end() || waits->second.ticket != reply.ticket) return std::nullopt;
  Claim claim = std::move(waits->second);
  claims_.erase(waits);
  const wire::ResumeClaim& claimed = *claim.initiation.claim;
  // An earlier claim may have brought it back while this one waited.
  const Session* const session = living(reply.peer, SessionId{claimed.session_id});
  Verdict verdict = session != nullptr ? examine_living(now, claim.from, *session, claimed)
                                       : judge(now, reply.peer, claim, reply);
  return Judged{claim.from, std::move(claim.initiation), std::move(verdict)};
}

Resumer::Verdict Resumer::judge(Millis now, PeerId id, const Claim& claim,
                                const OwnershipReply& reply) {
  const wire::ResumeClaim& claimed = *claim.initiation.claim;
  switch (reply.answer) {
    case OwnershipAnswer::kUnavailable:
      return refuse(now, id, claimed,
                    {Reason::kOwnershipConflict, Detail::kStoreUnavailable, "ownership"},
                    claim.from);
    case OwnershipAnswer::kTampered:
      return refuse(now, id, claimed,
                    {Reason::kOwnershipConflict, Detail::kRecordTampered, "record"}, claim.from);
    default:
      break;
  }
  if (!reply.found)
    return refuse(now, id, claimed, {Reason::kSessionNotFound, Detail::kNone, "exists"},
                  claim.from);
  const Finding finding = judge_stored(*reply.found, id, claimed);
  if (!finding.ok()) {
    const bool its_own = reply.found->peer == context_.configured(id).public_key;
    if (its_own && !reply.found->ended && finding.reason == Reason::kSessionExpired)
      expire(now, id, *reply.found);
    return refuse(now, id, claimed, finding, claim.from);
  }
  return {What::kResume, std::make_unique<Resumption>(resumption_of(now, *reply.found))};
}

/// In the order of a reattach request's checks.
Finding Resumer::judge_stored(const StoredSession& found, PeerId id,
                              const wire::ResumeClaim& claim) const {
  if (found.peer != context_.configured(id).public_key)
    return {Reason::kAuthFail, Detail::kNone, "peer"};
  if (found.ended || expired(found, context_.config.policy) != Reason::kNone)
    return {Reason::kSessionExpired, Detail::kNone, "expired"};
  if (BindingVersion{claim.binding_version} > found.binding_version)
    return {Reason::kFreshnessInvalid, Detail::kFutureVersion, "binding_version"};
  if (found.served && !context_.store.ownership().may_ask_owner())
    return {Reason::kOwnershipConflict, Detail::kOwnershipLost, "ownership"};
  if (found.policy_version > context_.config.policy.version)
    return {Reason::kPolicyDeny, Detail::kPolicyRefused, "policy_version"};
  return {};
}

/// A session that is nobody's is ended by whoever finds that its time is over, if the store agrees:
/// its owner may be there after all, or another may find it, too.
void Resumer::expire(Millis now, PeerId id, const StoredSession& found) {
  const auto asked = expiring_.find(id.value);
  const bool under_way =
      asked != expiring_.end() && asked->second.found.id == found.id && now < asked->second.until;
  if (under_way) return;
  const Reason why = expired(found, context_.config.policy);
  const uint64_t ticket = context_.store.expire(now, id, found, why);
  expiring_.insert_or_assign(id.value,
                             Expiring{ticket, found, why, now + context_.store.patience()});
}

bool Resumer::ended(Millis now, const OwnershipReply& reply) {
  const auto asked = expiring_.find(reply.peer.value);
  if (asked == expiring_.end() || asked->second.ticket != reply.ticket) return false;
  const Expiring ended = asked->second;
  expiring_.erase(asked);
  if (reply.answer != OwnershipAnswer::kCommitted) return true;
  reporter_.emit_ended(now, reply.peer, ended.found.id, StateVersion{ended.found.ceiling.value + 1},
                       ended.why, ended.found.lived);
  return true;
}

void Resumer::replaced(Millis now, PeerId id, const StoredSession& found) {
  const bool told = context_.table.remembers(found.id) || context_.store.is_ending(found.id);
  if (told) return;
  const Reason late = expired(found, context_.config.policy);
  reporter_.emit_ended(now, id, found.id, StateVersion{found.ceiling.value + 1},
                       late != Reason::kNone ? late : Reason::kPolicyTermination, found.lived);
}

/// Whoever claims another's session gets no answer, nor does who may ask again in a moment. Any
/// other claim was a true one, of a session that can't go on.
Resumer::Verdict Resumer::refuse(Millis now, PeerId id, const wire::ResumeClaim& claim,
                                 const Finding& finding, const Path& from) {
  reporter_.emit_refused_claim(now, id, SessionId{claim.session_id}, finding, from);
  switch (finding.reason) {
    case Reason::kSessionNotFound:
    case Reason::kSessionExpired:
    case Reason::kFreshnessInvalid:
      return {What::kFresh};
    case Reason::kPolicyDeny:
      return {finding.detail == Detail::kPolicyRefused ? What::kFresh : What::kRefuse};
    default:
      return {finding.detail == Detail::kRecordTampered ? What::kFresh : What::kRefuse};
  }
}

Millis Resumer::due(PeerId id) const {
  const auto waits = claims_.find(id.value);
  return waits == claims_.end() ? kNever : waits->second.until;
}

void Resumer::serve(Millis now, PeerId id) {
  if (now < due(id)) return;
  const Claim& claim = claims_.at(id.value);
  refuse(now, id, *claim.initiation.claim,
         {Reason::kOwnershipConflict, Detail::kStoreUnavailable, "ownership"}, claim.from);
  claims_.erase(id.value);
}

// ---- The commit.

/// What has changed since the handshake was answered.
Finding Resumer::judge_commit(Millis now, const PeerState& peer) {
  const Session& pending = *peer.pending;
  const Resumption& resumption = *pending.responder->resumption;
  if (resumption.living) {
    const Session* const session = living(pending.peer, pending.id);
    if (session == nullptr) return {Reason::kSessionExpired, Detail::kNone, "expired"};
    // Rows were applied meanwhile: the version that was told isn't the one that follows.
    if (version_after_commit(session->record()) != resumption.told)
      return {Reason::kFreshnessInvalid, Detail::kStaleVersion, "binding_version"};
    if (const Finding finding = judge_living(now, *session); !finding.ok()) return finding;
  } else if (peer.session && peer.session->id == pending.id) {
    return {Reason::kFreshnessInvalid, Detail::kStaleVersion, "binding_version"};
  }
  if (bindings_.reserve_tx(pending.peer)) return {};
  return {Reason::kPolicyDeny, Detail::kNoRoom, "room"};
}

void Resumer::begin(Millis now, PeerState& peer) {
  Session& pending = *peer.pending;
  const Resumption& resumption = *pending.responder->resumption;
  if (const Finding finding = judge_commit(now, peer); !finding.ok()) {
    reporter_.emit_refused_claim(now, pending.peer, pending.id, finding, pending.path);
    return lifecycle_.fail_pending(now, peer, finding.detail);
  }
  StoreState& store = pending.responder->store;
  if (resumption.living) {
    store = peer.session->responder->store;
  } else {
    store.stored = store.attempted = resumption.record.binding_version;
    store.ceiling = StateVersion{resumption.record.version.value + kVersionBlock};
  }
  const uint64_t ticket =
      context_.store.commit(now, pending, resumption.told, resumption.from_epoch);
  pending.responder->commit_pending = ticket;
  if (!resumption.living) return;
  // It waits as for a jump: no row may come between.
  ResponderSide& side = *peer.session->responder;
  side.commit_pending = ticket;
  side.store.committed = ticket;
  side.store.attempted = store.attempted;
  side.store.answer_due = store.answer_due;
}

bool Resumer::awaits(const OwnershipReply& reply) const {
  const std::unique_ptr<Session>& pending = context_.table.peer(reply.peer).pending;
  return pending && pending->resumes() && pending->id == reply.session &&
         pending->responder->commit_pending == reply.ticket;
}

std::vector<WaitingMessage> Resumer::end(Millis now, const OwnershipReply& reply) {
  PeerState& peer = context_.table.peer(reply.peer);
  Session& pending = *peer.pending;
  pending.responder->commit_pending = 0;
  const bool was_living = pending.responder->resumption->living;
  Session* const session = was_living ? living(reply.peer, reply.session) : nullptr;
  std::vector<WaitingMessage> of_session;
  if (session != nullptr) {
    session->responder->commit_pending = 0;
    of_session = std::exchange(session->responder->waiting, {});
  }
  const bool gone = was_living && session == nullptr;
  if (reply.answer == OwnershipAnswer::kCommitted && !gone) {
    std::vector<WaitingMessage> waiting = std::exchange(pending.responder->waiting, {});
    commit(now, peer, reply);
    return waiting;
  }
  const bool silent = reply.answer == OwnershipAnswer::kUnavailable;
  reporter_.emit_refused_claim(
      now, reply.peer, reply.session,
      {Reason::kOwnershipConflict, silent ? Detail::kStoreUnavailable : Detail::kVersionConflict,
       "commit"},
      pending.path);
  lifecycle_.fail_pending(now, peer, Detail::kStoreUnavailable);
  if (session != nullptr && !context_.store.reconcile(*session, reply)) {
    lifecycle_.forget(now, *session, reply.found ? reply.found->epoch : 0);
    return {};
  }
  return of_session;
}

/// What the store has of it now.
StoredSession Resumer::taken_over(Millis now, const Session& pending, PeerId id) const {
  const SessionRecord& record = pending.responder->resumption->record;
  StoredSession ours;
  ours.id = pending.id;
  ours.peer = context_.configured(id).public_key;
  ours.ceiling = pending.responder->store.ceiling;
  ours.lived = age_of(record, now);
  ours.unserved = now - record.transport_lost;
  ours.epoch = context_.store.ownership().epoch();
  return ours;
}

void Resumer::commit(Millis now, PeerState& peer, const OwnershipReply& reply) {
  context_.store.reconcile(*peer.pending, reply);
  std::optional<Path> old_path;
  const uint64_t from_epoch = peer.pending->responder->resumption->from_epoch;
  if (peer.pending->responder->resumption->living) {
    old_path = peer.session->path;
    const bool drain = peer.session->has_transport();
    lifecycle_.carry_over(now, peer, std::move(peer.pending), drain);
  } else {
    const StoredSession ours = taken_over(now, *peer.pending, reply.peer);
    if (expired(ours, context_.config.policy) != Reason::kNone) {  // while the store was asked
      lifecycle_.fail_pending(now, peer, Detail::kNone);
      return expire(now, reply.peer, ours);
    }
    lifecycle_.supersede(now, peer, NotifyPeer::kYes);
    lifecycle_.restore(peer, std::move(peer.pending));
  }
  Session& session = *peer.session;
  session.responder->resumption.reset();
  session.confirmed = true;
  peer.unconfirmed = 0;
  dialer_.stop(peer);
  ++context_.counters.resumes;
  const uint64_t epoch = context_.store.ownership().epoch();
  const bool lives = lifecycle_.commit_resumed(now, session, BindingVersion{}, old_path);
  if (!lives || from_epoch == 0) return;
  reporter_.emit_ownership(now, session, Reason::kSessionResumed, Detail::kNone,
                           {from_epoch, epoch});
}

}  // namespace jvpn::protocol
