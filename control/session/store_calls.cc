#include "control/session/store_calls.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn::session {
namespace {

using Kind = OwnershipCall::Kind;

/// At the latest, the next block is asked for when so many versions are left of the present one.
constexpr uint64_t kReserveAhead = kVersionBlock / 2;
/// A commit takes two versions, the end of the session one.
constexpr uint64_t kLastVersions = 4;

uint64_t versions_left(const Session& session) {
  const uint64_t ceiling = session.responder->store.ceiling.value;
  return ceiling - std::min(ceiling, session.record().version.value);
}

}  // namespace

StoredSession StoreCalls::stored(Millis now, const Session& session) const {
  StoredSession record;
  record.id = session.id;
  record.peer = config_.peers[session.peer.value].public_key;
  record.binding_version = session.binding_version();
  record.ceiling = session.responder->store.ceiling;
  record.policy_version = config_.policy.version;
  record.lived = age_of(session.record(), now);
  const auto& addresses = config_.peers[session.peer.value].inner_addresses;
  record.address_count = static_cast<uint8_t>(std::min(addresses.size(), kStoredAddresses));
  std::copy_n(addresses.begin(), record.address_count, record.inner_addresses.begin());
  record.reason = session.last_reason;
  return record;
}

OwnershipCall StoreCalls::call_of(Kind kind, const Session& session) {
  OwnershipCall call;
  call.kind = kind;
  call.ticket = ++tickets_;
  call.peer = session.peer;
  call.session = session.id;
  call.record.peer = config_.peers[session.peer.value].public_key;
  call.ceiling = session.responder->store.ceiling;
  return call;
}

bool StoreCalls::ask(Millis now, const OwnershipCall& call) {
  asked_ = now;
  if (store_.ask(now, call)) return true;
  refused_.push_back({call.kind, call.ticket, call.peer, call.session,
                      OwnershipAnswer::kUnavailable, std::nullopt});
  return false;
}

std::optional<OwnershipReply> StoreCalls::take() {
  if (auto reply = store_.take()) {
    const bool told = reply->answer != OwnershipAnswer::kUnavailable;
    if (told && reply->kind == Kind::kRelease) answered(*reply);
    return reply;
  }
  if (refused_.empty()) return std::nullopt;
  const OwnershipReply reply = refused_.front();
  refused_.pop_front();
  return reply;
}

void StoreCalls::acquire(Millis now, Session& session) {
  StoreState& store = session.responder->store;
  store.stored = store.attempted = session.binding_version();
  store.ceiling = StateVersion{session.record().version.value + kVersionBlock};
  write(now, session);
}

/// Acquires the session, or reserves the next block of versions.
void StoreCalls::write(Millis now, Session& session) {
  StoreState& store = session.responder->store;
  OwnershipCall call = call_of(store.owned ? Kind::kReserve : Kind::kAcquire, session);
  if (store.owned)
    call.ceiling = StateVersion{store.ceiling.value + kVersionBlock};
  else
    call.record = stored(now, session);
  store.written = call.ticket;
  store.write_again = now + patience();
  ask(now, call);
}

uint64_t StoreCalls::commit(Millis now, Session& session, BindingVersion next,
                            uint64_t from_epoch) {
  StoreState& store = session.responder->store;
  JVPN_ASSERT(next >= store.attempted, "versions rise, those that weren't answered among them");
  OwnershipCall call = call_of(Kind::kCommit, session);
  call.expected = store.stored;
  call.attempted = store.attempted;
  call.next = store.attempted = next;
  call.from_epoch = from_epoch;
  store.committed = call.ticket;
  store.answer_due = now + patience();
  ask(now, call);
  return call.ticket;
}

uint64_t StoreCalls::load(Millis now, PeerId peer, const SessionId& session) {
  OwnershipCall call;
  call.kind = Kind::kLoad;
  call.ticket = ++tickets_;
  call.peer = peer;
  call.session = session;
  call.record.peer = config_.peers[peer.value].public_key;
  ask(now, call);
  return call.ticket;
}

uint64_t StoreCalls::expire(Millis now, PeerId peer, const StoredSession& found, Reason reason) {
  OwnershipCall call;
  call.kind = Kind::kRelease;
  call.ticket = ++tickets_;
  call.peer = peer;
  call.session = found.id;
  call.record.peer = found.peer;
  call.record.reason = reason;
  call.from_epoch = found.epoch;
  ask(now, call);
  return call.ticket;
}

void StoreCalls::hand_over(Millis now, const PublicKey& peer, const SessionId& session) {
  if (is_ending(session)) return;
  OwnershipCall call;
  call.kind = Kind::kHandOver;
  call.ticket = ++tickets_;
  call.session = session;
  call.record.peer = peer;
  ask(now, call);
}

void StoreCalls::release(Millis now, const Session& session, Detail detail) {
  OwnershipCall call = call_of(Kind::kRelease, session);
  call.record.reason = session.last_reason;
  call.record.detail = detail;
  call.unheard = !session.responder->store.owned;
  call.from_epoch = store_.epoch();  // should it be written by a later run of ours
  ask(now, call);
  if (call.unheard && unheard_ == kMostUnheard) return;
  if (!endings_.emplace(call.session, call).second) return;
  unheard_ += call.unheard ? 1 : 0;
  endings_due_.push_back({now + patience(), call.session});
}

void StoreCalls::answered(const OwnershipReply& reply) {
  const auto ending = endings_.find(reply.session);
  if (ending == endings_.end() || ending->second.ticket != reply.ticket) return;
  unheard_ -= ending->second.unheard ? 1 : 0;
  endings_.erase(ending);
  while (!endings_due_.empty() && !endings_.contains(endings_due_.front().session))
    endings_due_.pop_front();
}

void StoreCalls::serve_endings(Millis now) {
  for (size_t asked = 0; now >= endings_due(); ++asked) {
    const SessionId session = endings_due_.front().session;
    const auto ending = endings_.find(session);
    const bool room =
        asked < kEndingsAtOnce && (ending == endings_.end() || ask(now, ending->second));
    if (!room) {
      endings_due_.front().at = now + kEndingsPause;
      return;
    }
    endings_due_.pop_front();
    if (ending != endings_.end()) endings_due_.push_back({now + patience(), session});
  }
}

bool StoreCalls::is_ending(const SessionId& session) const {
  return endings_.contains(session);
}

OwnershipReply StoreCalls::unanswered(const Session& session) {
  return {Kind::kCommit, session.responder->store.committed, session.peer,
          session.id,    OwnershipAnswer::kUnavailable,      std::nullopt};
}

bool StoreCalls::reconcile(Session& session, const OwnershipReply& reply) {
  StoreState& store = session.responder->store;
  const bool latest_write = reply.ticket == store.written;
  if (reply.kind == Kind::kAcquire && reply.answer == OwnershipAnswer::kCommitted) {
    store.owned = true;  // each of them asks for the same, so an earlier one proves it, too
    if (latest_write) store.written = 0;
    return true;
  }
  const bool latest_commit = reply.kind == Kind::kCommit && reply.ticket == store.committed;
  if (!latest_write && !latest_commit) return true;  // a later call says more
  if (reply.answer == OwnershipAnswer::kLost) return false;
  if (reply.answer == OwnershipAnswer::kTampered) return false;
  if (latest_commit) {
    // It was made, or never will be: either way the store tells what is there.
    if (reply.answer == OwnershipAnswer::kCommitted) {
      store.stored = store.attempted;
      store.owned = true;
    }
    const bool known = reply.answer == OwnershipAnswer::kConflict && reply.found;
    if (known && reply.found->binding_version <= store.attempted)
      store.stored = reply.found->binding_version;
    return !known || reply.found->binding_version <= store.attempted;
  }
  if (reply.answer != OwnershipAnswer::kCommitted) return true;  // asked again when it is due
  if (store.owned) store.ceiling = StateVersion{store.ceiling.value + kVersionBlock};
  store.owned = true;
  store.written = 0;
  return true;
}

bool StoreCalls::exhausted(const Session& session) {
  return !session.initiates() && session.responder->store.ceiling != StateVersion{} &&
         versions_left(session) < kLastVersions;
}

// ---- Time.

Millis StoreCalls::due(const Session& session) const {
  if (session.initiates()) return kNever;
  if (exhausted(session)) return Millis{0};
  return session.responder->store.written != 0 ? session.responder->store.write_again : kNever;
}

bool StoreCalls::serve(Millis now, Session& session) {
  if (session.initiates()) return true;
  const StoreState& store = session.responder->store;
  if (store.written != 0 && now >= store.write_again) write(now, session);
  return true;
}

void StoreCalls::on_rows(Millis now, Session& session) {
  if (session.initiates()) return;
  const StoreState& store = session.responder->store;
  if (store.owned && store.written == 0 && versions_left(session) < kReserveAhead)
    write(now, session);
}

}  // namespace jvpn::session
