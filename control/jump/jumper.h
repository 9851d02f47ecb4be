// The initiator's side of a jump: when, where to, and the requests until one is committed.
//   dead or wished for → request over one candidate, repeated → challenge answered →
//   acknowledgement: state machine, new binding, old index drains. No answer: the next candidate.
// Until the acknowledgement a living binding carries everything. Control thread only.
#pragma once

#include "control/jump/candidates.h"
#include "control/jump/hold_report.h"
#include "control/jump/prober.h"
#include "control/jump/quality_monitor.h"
#include "control/protocol/liveness.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

class Jumper : public Part {
 public:
  Jumper(Context& context, Lifecycle& lifecycle, Reporter& reporter, Bindings& bindings,
         ControlChannel& channel, Candidates& candidates, QualityMonitor& quality, Prober& prober,
         protocol::Liveness& liveness)
      : context_(context),
        lifecycle_(lifecycle),
        reporter_(reporter),
        bindings_(bindings),
        channel_(channel),
        candidates_(candidates),
        quality_(quality),
        prober_(prober),
        liveness_(liveness),
        closer_(context) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// From when on policy lets a jump from a living path begin.
  Millis policy_allows(const Session& session) const;

  // What the program around the engine tells of a peer's paths.

  /// The paths that a session may jump to, by preference.
  void set_candidates(Millis now, PeerId id, std::span<const Path> paths);
  /// Link, address or route of `path` is gone.
  void path_lost(Millis now, PeerId id, const Path& path);
  /// The session shall jump, for a reason other than its transport's death.
  void wish(Millis now, Session& session, const JumpWish& wish);
  /// The bound path carries nothing any more, as `death` says. False: the session has ended.
  bool path_died(Millis now, Session& session, const SessionEvent& death) {
    return lose_transport(now, session, death) && serve(now, session);
  }

  /// Whoever asked for a jump won't wait for as long as the policy says: it is denied, and told.
  void deny(Millis now, const Session& session, const Path& to);

  // Control messages.

  /// Both ends: the peer knows before we do that the bound path is gone.
  void on_transport_dead(Millis now, Session& session, const wire::TransportDead& message);
  void on_challenge(Millis now, Session& session, const Arrival& at,
                    const wire::ReattachChallenge& message);
  /// The responder has committed, whichever of our requests it was: that is a fact, and followed.
  /// `fields`: behind the message.
  void on_ack(Millis now, Session& session, const Arrival& at, const wire::ReattachAck& message,
              std::span<const uint8_t> fields);
  void on_reject(Millis now, Session& session, const Arrival& at,
                 const wire::ReattachReject& message);
  /// The responder can't dial: it asks us to.
  void on_hint(Millis now, Session& session, const wire::PolicyHint& message);

 private:
  Millis may_start(const Session& session) const;
  void note_candidates(Millis now, Session& session);
  Finding switch_allowed(Millis now, const Session& session) const;
  bool hold_back(Millis now, Session& session);
  void give_up(Millis now, Session& session);
  void start(Millis now, Session& session);
  bool send_request(Millis now, Session& session);
  wire::ReattachRequest make_request(Millis now, Session& session, const SpareBinding& spare);
  void send_data_ahead(Millis now, Session& session, const SpareBinding& spare);
  bool lose_transport(Millis now, Session& session,
                      const SessionEvent& death = {Trigger::kTransportDead});
  void learn_from_reject(Millis now, Session& session, const wire::ReattachReject& message,
                         SpareBinding& spare);
  std::optional<Path> better_path(Millis now, const Session& session) const;

  Context& context_;
  Lifecycle& lifecycle_;
  Reporter& reporter_;
  Bindings& bindings_;
  ControlChannel& channel_;
  Candidates& candidates_;
  QualityMonitor& quality_;
  Prober& prober_;
  protocol::Liveness& liveness_;
  LaneCloser closer_;
};

}  // namespace jvpn::jump
