// The responder's side of a jump. A request, from the candidate path and on its spare index:
//   1. checks in their order, first failure wins    2. challenge to the observed source
//   3. response from that same address    4. policy again, then a compare-and-set on
//   binding_version through Ownership    5. state machine    6. publish    7. acknowledgement
// Until 5 the old binding carries everything. Whatever fails leaves counters and events only.
// Control thread only.
#pragma once

#include "control/jump/hold_report.h"
#include "control/jump/path_validator.h"
#include "control/protocol/liveness.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

class ReattachResponder : public Part {
 public:
  /// `secret`, of the tokens, outlives the responder.
  ReattachResponder(Context& context, Lifecycle& lifecycle, Reporter& reporter, Bindings& bindings,
                    ControlChannel& channel, protocol::Liveness& liveness, const MacKey& secret)
      : context_(context),
        lifecycle_(lifecycle),
        reporter_(reporter),
        bindings_(bindings),
        channel_(channel),
        liveness_(liveness),
        closed_(context, bindings),
        secret_(secret) {}

  /// `fields`: behind the message.
  void on_request(Millis now, Session& session, const Arrival& at,
                  const wire::ReattachRequest& message, std::span<const uint8_t> fields);
  void on_response(Millis now, Session& session, const Arrival& at,
                   const wire::ReattachResponse& message);
  /// The store has answered, or hasn't in time: commits or refuses. Returns the messages that
  /// waited for it, which are judged now; nothing when the session ended meanwhile or isn't ours
  /// any more.
  std::vector<WaitingMessage> end_commit(Millis now, const OwnershipReply& reply);
  /// The host says what came under an index that a commit closed.
  void on_lanes_closed(Millis now, Session& session, const LaneReport& report);
  /// Tells the initiator that the link at our end of its path is down, at the addresses that it was
  /// lately validated at.
  void send_transport_dead(Millis now, const Session& session);
  /// Tells the initiator that nothing of its comes by the bound path: by that path, which may carry
  /// one way, and at the addresses that it was lately validated at.
  void send_silent(Millis now, const Session& session);

  // Authentic packets under the active index may come from elsewhere than its binding says: a NAT
  // has changed, or somebody repeats them. Sending stays as it is. The bound source is asked for a
  // sign of life, and when none comes the other source is asked to reattach.

  void on_other_source(Millis now, Session& session, const Path& from);
  /// A control message of so many bytes came under the active index.
  void on_bound_message(Millis now, Session& session, const Path& from, size_t bytes);
  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

 private:
  template <typename Message, typename Usable>
  void send_to_validated(Millis now, const Session& session, const Message& message, Usable usable);
  static bool repeats_committed(const Session& session, const Arrival& at,
                                const wire::ReattachRequest& message);
  Finding check(Millis now, Session& session, const Arrival& at,
                const wire::ReattachRequest& message, ReplayVerdict nonce);
  Finding check_candidate(const Arrival& at, const wire::ReattachRequest& message) const;
  Finding check_room(const Session& session);
  void challenge(Millis now, Session& session, const Arrival& at,
                 const wire::ReattachRequest& message, HoldWord hold);
  Mac token(const Session& session, const Arrival& at, uint64_t nonce);
  void refuse(Millis now, Session& session, const Arrival& at, const wire::ReattachRequest& message,
              const Finding& finding);
  void send_reject(Millis now, const Session& session, const Arrival& at, uint64_t nonce,
                   ReceiverIndex receiver, const Finding& finding);
  void send_ack(Millis now, const Session& session, uint64_t nonce);
  void begin_commit(Millis now, Session& session);
  void commit(Millis now, Session& session, OutstandingChallenge& request);
  void refuse_commit(Millis now, Session& session, const OutstandingChallenge& request,
                     OwnershipAnswer answer);

  Context& context_;
  Lifecycle& lifecycle_;
  Reporter& reporter_;
  Bindings& bindings_;
  ControlChannel& channel_;
  protocol::Liveness& liveness_;
  ClosedLanes closed_;
  const MacKey& secret_;
};

}  // namespace jvpn::jump
