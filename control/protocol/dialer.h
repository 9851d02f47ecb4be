// The initiator's side of a handshake: initiations, each with fresh keys and a later timestamp,
// until a response comes; then the session is attached at once and its keys are confirmed by
// heartbeats. Control thread only.
#pragma once

#include "control/protocol/cookies.h"
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
        liveness_(liveness) {}

  /// Opens a session with a peer over `path`, and goes on until there is one.
  void dial(Millis now, PeerId id, const Path& path);
  /// The same, once the session that lives has ended.
  void dial_when_ended(PeerId id, const Path& path);
  /// Attempts end, the wish for a session stays.
  void stop(PeerState& peer);
  /// The present attempt is given up.
  void stop_attempt(Dial& call);
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
  /// The peer has the session's keys: what dial_beside() began ends.
  void note_alive(const Session& session);
  /// Makes the next attempt when it is due.
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
  /// answers its requests: the responder may have lost it. The handshake claims the session.
  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// A session that is well needs no call.
  void on_rows(Millis now, Session& session) override;

 private:
  Dial& wish(PeerId id, const Path& path);
  void send_initiation(Millis now, PeerId id);
  std::optional<wire::ResumeClaim> next_claim(PeerId id);
  bool goes_on(PeerId id, const Dial& call, const wire::ResponsePayload& answer) const;
  void begin_resuming(Millis now, PeerId id, const NoiseKeys& keys, ReceiverIndex remote,
                      const wire::ResponsePayload& payload);
  void take_freshness(Millis now, PeerId id, const wire::Freshness& freshness);
  Dial* call_with(ReceiverIndex index, std::optional<PeerId>& id);
  void attach(Millis now, PeerId id, const NoiseKeys& keys, ReceiverIndex remote,
              const wire::ResponsePayload& payload);
  std::unique_ptr<Session> new_session(Millis now, PeerId id, const NoiseKeys& keys,
                                       ReceiverIndex remote,
                                       const wire::ResponsePayload& payload) const;
  void refuse(Millis now, const Path& from, Detail detail, PeerId id = kNoPeer);

  Context& context_;
  const Identity& self_;
  Cookies& cookies_;
  Reporter& reporter_;
  Bindings& bindings_;
  Lifecycle& lifecycle_;
  Liveness& liveness_;
};

}  // namespace jvpn::protocol
