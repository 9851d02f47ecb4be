// The responder's side of a resume: a fresh handshake claims a session (docs/PROTOCOL.md,
// resuming).
//   1. the session is here, or the store is asked for it    2. it is the claimant's, and may go on
//   3. the handshake is answered with its id    4. the initiator's first message under the new keys
//   proves its address    5. compare-and-set through the store    6. state machine    7. publish
// Until 5 nothing has changed, and whatever fails before leaves the session as it is.
// Control thread only.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "control/protocol/dialer.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/lifecycle.h"

namespace jvpn::protocol {

class Resumer {
 public:
  /// What becomes of the handshake that claims.
  struct Verdict {
    enum class What : uint8_t {
      kWait,    ///< for the store
      kResume,  ///< it is answered with the session's id
      kFresh,   ///< the session can't go on: a new one begins
      kRefuse   ///< it isn't answered
    };
    What what{};
    std::unique_ptr<Resumption> resumption{};
  };
  /// A handshake whose claim is judged.
  struct Judged {
    Path from;
    InitiationState initiation;
    Verdict verdict;
  };

  Resumer(Context& context, Reporter& reporter, Lifecycle& lifecycle, Bindings& bindings,
          Dialer& dialer)
      : context_(context),
        reporter_(reporter),
        lifecycle_(lifecycle),
        bindings_(bindings),
        dialer_(dialer) {}

  /// An authentic and fresh initiation claims a session. With kWait it is kept until loaded().
  Verdict examine(Millis now, const Path& from, PeerId id, InitiationState& initiation);
  /// The store has told of a session; nothing when nobody waits for it any more.
  std::optional<Judged> loaded(Millis now, const OwnershipReply& reply);
  /// Gives up what the store hasn't answered in time.
  void serve(Millis now, PeerId id);
  Millis due(PeerId id) const;
  void forget(PeerId id) {
    claims_.erase(id.value);
    expiring_.erase(id.value);
  }
  /// The store has answered whether a session whose time was over has ended. False: that isn't what
  /// it was asked.
  bool ended(Millis now, const OwnershipReply& reply);
  /// A session that has begun has taken the place of one that waited in the store.
  void replaced(Millis now, PeerId id, const StoredSession& found);

  /// The initiator of a handshake that resumes has shown that it has the keys, and where it is: the
  /// store is asked.
  void begin(Millis now, PeerState& peer);
  /// A reply, or none in time, to such a commit.
  bool awaits(const OwnershipReply& reply) const;
  /// Returns the messages that waited for it.
  std::vector<WaitingMessage> end(Millis now, const OwnershipReply& reply);

 private:
  struct Claim {
    uint64_t ticket = 0;
    Path from;
    InitiationState initiation;
    Millis until;
  };

  /// A session that the store is asked to end.
  struct Expiring {
    uint64_t ticket = 0;
    StoredSession found;
    Reason why{};
    Millis until;  ///< then it may be asked again
  };

  Session* living(PeerId id, const SessionId& claimed) const;
  Verdict examine_living(Millis now, const Path& from, const Session& session,
                         const wire::ResumeClaim& claim);
  Verdict judge(Millis now, PeerId id, const Claim& claim, const OwnershipReply& reply);
  Finding judge_stored(const StoredSession& found, PeerId id, const wire::ResumeClaim& claim) const;
  Finding judge_living(Millis now, const Session& session) const;
  Finding judge_commit(Millis now, const PeerState& peer);
  Verdict refuse(Millis now, PeerId id, const wire::ResumeClaim& claim, const Finding& finding,
                 const Path& from);
  void expire(Millis now, PeerId id, const StoredSession& found);
  StoredSession taken_over(Millis now, const Session& pending, PeerId id) const;
  void commit(Millis now, PeerState& peer, const OwnershipReply& reply);

  Context& context_;
  Reporter& reporter_;
  Lifecycle& lifecycle_;
  Bindings& bindings_;
  Dialer& dialer_;
  std::unordered_map<uint32_t, Claim> claims_;       ///< by peer, one each; kMostClaims in all
  std::unordered_map<uint32_t, Expiring> expiring_;  ///< by peer, one each
};

}  // namespace jvpn::protocol
