// The initiator's side of a handshake: initiations, each with fresh keys and a later timestamp,
// until a response comes; then the session is attached at once and its keys are confirmed by
// heartbeats. A peer may have several gateways: each has an attempt of its own, and the first
// answer is taken. Whom it calls next is in gateway_choice.cc, what comes of it in
// dialer_answers.cc. Control thread only.
#pragma once

#include "common/limits.h"
#include "control/protocol/cookies.h"
#include "control/protocol/gateway_choice.h"
#include "control/protocol/handshake_messages.h"
#include "control/protocol/liveness.h"
#include "control/session/lifecycle.h"

namespace jvpn::protocol {

class Dialer : public Part {
 public:
  Dialer(Context& context, const Identity& self, Cookies& cookies, Reporter& reporter,
         Bindings& bindings, Lifecycle& lifecycle, Liveness& liveness)
      : context_(context),
        self_(self),
        cookies_(cookies),
        reporter_(reporter),
        bindings_(bindings),
        lifecycle_(lifecycle),
        liveness_(liveness),
        choice_(context) {}

  /// Opens a session with a peer over `path`, and goes on until there is one.
  void dial(Millis now, PeerId id, const Path& path);
  /// The same, once the session that lives has ended.
  void dial_when_ended(PeerId id, const Path& path);
  /// The gateways of a peer that is dialled, perhaps, are others: what is known of those before is
  /// forgotten.
  void gateways_changed(PeerId id);
  /// Attempts end, the wish for a session stays.
  void stop(PeerState& peer);
  /// What is out is given up.
  void stop_attempts(Dial& call);
  /// Nobody wants a session with the peer any more.
  void forget(PeerState& peer);
  /// Another holder of our key replaced `session`, which ends now: it is dialled again after a
  /// pause that grows, so that two devices with one key don't fight without end.
  void taken_over(Millis now, const Session& session);
  /// Initiator: the peer has lost the session, which lives until the new one takes its place. One
  /// attempt at once, over that path, then as dial(). False: it isn't to be dialled, is being
  /// dialled, or was for that reason a moment ago: one that comes again is followed ever more
  /// rarely.
  bool dial_beside(Millis now, const Session& session, const Path& path);
  /// POLICY_HINT(leave). Initiator: the session is claimed at other gateways of its peer's, while
  /// it goes on where it is. Without any nothing happens.
  void on_leave(Millis now, Session& session, const wire::PolicyHint& message);
  /// The peer has the session's keys: what dial_beside() began ends.
  void note_alive(const Session& session);
  /// Makes the next attempts when they are due.
  void serve_dial(Millis now, PeerId id);
  Millis dial_due(PeerId id) const;
  /// Simultaneous dialling: the higher key waits while a call of the lower one is pending.
  bool waits_for_peer(PeerId id) const;

  /// Both return the peer whose state may have changed.
  std::optional<PeerId> on_response(Millis now, const Path& from, std::span<const uint8_t> datagram,
                                    std::optional<MacVerdict> known);
  void on_sealed_reply(Millis now, const Path& from, std::span<const uint8_t> datagram);

  /// The responder has the keys of the handshake that goes on with the session: it does. False: it
  /// can't.
  bool confirm_resumed(Millis now, PeerState& peer);

  /// Dials again beside the session while it isn't confirmed, or has no transport and nobody
  /// answers its requests: the responder may have lost it. The handshake claims the session; one
  /// without a transport is claimed at another gateway in the same round.
  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// A session that is well needs no call.
  void on_rows(Millis now, Session& session) override;

 private:
  static constexpr uint32_t kLeastPauseMs = 1'000;  ///< after a takeover; each doubles it
  /// Between rounds with a session that waits: its traffic does, too.
  static constexpr uint32_t kResumeRetryMs = 500;
  /// Whoever asks once more within it isn't followed.
  static constexpr Millis kLeavesApart{1'000};

  Dial& wish(PeerId id, const Path& path);
  void serve_leaving(Millis now, PeerId id);
  void plan_round(Millis now, PeerState& peer);
  bool awaits_confirmation(Millis now, const PeerState& peer) const;
  void stop_attempt(Attempt& attempt);
  void give_up_oldest(Dial& call);
  void send_initiation(Millis now, PeerId id, Attempt& attempt);
  std::optional<wire::ResumeClaim> next_claim(PeerId id);
  bool goes_on(PeerId id, const Attempt& attempt, const wire::ResponsePayload& answer) const;
  bool comes_too_early(Millis now, PeerId id, const Attempt& attempt) const;
  void begin_resuming(Millis now, PeerId id, Attempt& attempt, const NoiseKeys& keys,
                      ReceiverIndex remote, const wire::ResponsePayload& payload);
  void take_freshness(Millis now, PeerId id, Attempt& attempt, const wire::Freshness& freshness);
  Attempt* attempt_with(ReceiverIndex index, std::optional<PeerId>& id);
  void attach(Millis now, PeerId id, Attempt& attempt, const NoiseKeys& keys, ReceiverIndex remote,
              const wire::ResponsePayload& payload);
  std::unique_ptr<Session> new_session(Millis now, PeerId id, const Attempt& attempt,
                                       const NoiseKeys& keys, ReceiverIndex remote,
                                       const wire::ResponsePayload& payload) const;
  void refuse(Millis now, const Path& from, Detail detail, PeerId id = kNoPeer);

  Context& context_;
  const Identity& self_;
  Cookies& cookies_;
  Reporter& reporter_;
  Bindings& bindings_;
  Lifecycle& lifecycle_;
  Liveness& liveness_;
  GatewayChoice choice_;
};

}  // namespace jvpn::protocol
