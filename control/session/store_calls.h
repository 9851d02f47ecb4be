// What a gateway asks the store of a session, and by when it must know. A call that isn't answered
// in recovery_attempt_ms counts as Unavailable; its reply may still come, is known by its ticket,
// and only tells what the store holds. Control thread only.
//
//   acquire() → owned → commit(), again and again; ceilings are reserved ahead → release()
#pragma once

#include <deque>
#include <unordered_map>

#include "control/session/config.h"
#include "control/session/ownership.h"
#include "control/session/part.h"

namespace jvpn::session {

class StoreCalls : public Part {
 public:
  /// Both outlive it.
  StoreCalls(const EngineConfig& config, Ownership& store) : config_(config), store_(store) {}

  /// A session of ours has begun. Asked again until the store has answered.
  void acquire(Millis now, Session& session);
  /// Whether a commit may be tried now: the session is known to be ours, and the store is there.
  bool may_commit(const Session& session) const {
    return store_.reachable() && session.responder->store.owned;
  }
  /// Puts `next` in the place of the binding version. Its reply comes by take(), at `answer_due` at
  /// the latest. Returns the ticket.
  /// `from_epoch`: the owner that is expected; 0: ourselves.
  uint64_t commit(Millis now, Session& session, BindingVersion next, uint64_t from_epoch = 0);
  /// What the store has of a session. Returns the ticket.
  uint64_t load(Millis now, PeerId peer, const SessionId& session);
  /// A session that waited in the store has outlived its time there. It has ended once that is
  /// committed. Returns the ticket.
  uint64_t expire(Millis now, PeerId peer, const StoredSession& found, Reason reason);
  /// Another gateway may have what is kept under the peer's key: it isn't ours any more. What has
  /// ended isn't handed over before the store has that; whoever wants it asks again.
  void hand_over(Millis now, const PublicKey& peer, const SessionId& session);
  /// The session has ended. Asked again by serve_endings() until the store has answered.
  void release(Millis now, const Session& session, Detail detail);
  /// It has ended, and the store hasn't answered that yet.
  bool is_ending(const SessionId& session) const;
  void serve_endings(Millis now);
  Millis endings_due() const { return endings_due_.empty() ? kNever : endings_due_.front().at; }

  /// The next reply to whatever was asked; what was refused at once is among them.
  std::optional<OwnershipReply> take();
  bool has_replies() const { return !refused_.empty() || store_.has_replies(); }
  std::optional<OwnershipNotice> take_notice() { return store_.take_notice(); }
  /// When something was asked since the latest take_asked(): replies may be there already.
  std::optional<Millis> take_asked() { return std::exchange(asked_, std::nullopt); }
  /// Unavailable, in the place of the reply to the pending commit.
  static OwnershipReply unanswered(const Session& session);
  /// A reply that no pending commit waits for. False: the session is somebody else's.
  bool reconcile(Session& session, const OwnershipReply& reply);
  /// The versions that were reserved are used up, and the store doesn't answer: going on could
  /// mean that a version is used twice.
  static bool exhausted(const Session& session);

  Ownership& ownership() { return store_; }
  Millis patience() const { return config_.policy.switching.recovery_attempt; }

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rows(Millis now, Session& session) override;

 private:
  /// When to ask again for an end that the store hasn't answered.
  struct EndingDue {
    Millis at;
    SessionId session;
  };
  /// Ends of sessions that the store may not even know: of more of them it is told once.
  static constexpr size_t kMostUnheard = 4'096;
  static constexpr size_t kEndingsAtOnce = 128;
  static constexpr Millis kEndingsPause{20};  // so that other calls find room

  /// False: the store has no room for it now, and a reply says so.
  bool ask(Millis now, const OwnershipCall& call);
  void answered(const OwnershipReply& reply);
  void write(Millis now, Session& session);
  OwnershipCall call_of(OwnershipCall::Kind kind, const Session& session);
  StoredSession stored(Millis now, const Session& session) const;

  const EngineConfig& config_;
  Ownership& store_;
  uint64_t tickets_ = 0;
  std::deque<OwnershipReply> refused_;
  /// Ends that may not be written. Of sessions that the store knows none is forgotten: there are as
  /// many of those at most as it had when it answered last.
  std::unordered_map<SessionId, OwnershipCall> endings_;
  std::deque<EndingDue> endings_due_;  ///< in the order of time; the first is in endings_
  size_t unheard_ = 0;                 ///< of endings_
  std::optional<Millis> asked_;
};

}  // namespace jvpn::session
