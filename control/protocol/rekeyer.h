// New keys for a living session, inside its control messages. The initiator alone asks:
//   initiator: REKEY_INITIATION under the current keys, anew until answered
//   responder: receives under the next keys, then REKEY_RESPONSE under the current ones
//   initiator: receives under the next keys, sends under them; HEARTBEAT until answered
//   responder: sends under them once a control message came under them
// At every moment each side can open what the other may be sending. The binding stays; so does
// state_version. Control thread only.
#pragma once

#include "control/protocol/dialer.h"
#include "control/protocol/liveness.h"
#include "control/session/lifecycle.h"

namespace jvpn::protocol {

class Rekeyer : public Part {
 public:
  Rekeyer(Context& context, const Identity& self, Lifecycle& lifecycle, Reporter& reporter,
          Bindings& bindings, ControlChannel& channel, Liveness& liveness, Dialer& dialer)
      : context_(context),
        self_(self),
        lifecycle_(lifecycle),
        reporter_(reporter),
        bindings_(bindings),
        channel_(channel),
        liveness_(liveness),
        dialer_(dialer) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;

  /// An authentic message came under these keys of an attached session: the peer has them.
  void confirm(Millis now, Session& session, const KeyGeneration& generation);
  void on_rekey_initiation(Millis now, Session& session, const Arrival& at,
                           const wire::RekeyInitiation& message);
  void on_rekey_response(Millis now, Session& session, const wire::RekeyResponse& message);

 private:
  bool key_nearly_used(const Session& session);
  void ask(Millis now, Session& session);
  bool answer(Millis now, Session& session, RequestState& request, ReceiverIndex index);
  void refuse(Millis now, const Session& session);
  void adopt(Millis now, Session& session, std::unique_ptr<KeyGeneration> fresh,
             Millis previous_until);
  void keys_confirmed(Millis now, Session& session);
  Millis linger(const Session& session) const;

  Context& context_;
  const Identity& self_;
  Lifecycle& lifecycle_;
  Reporter& reporter_;
  Bindings& bindings_;
  ControlChannel& channel_;
  Liveness& liveness_;
  Dialer& dialer_;
};

/// Retires replaced keys once nothing under them can be on its way any more.
class OldKeys : public Part {
 public:
  explicit OldKeys(Bindings& bindings) : bindings_(bindings) {}
  bool serve(Millis now, Session& session) override {
    if (now >= due(session)) bindings_.retire(session.previous);
    return true;
  }
  Millis due(const Session& session) const override {
    return session.previous ? session.previous->retire_at : kNever;
  }

 private:
  Bindings& bindings_;
};

}  // namespace jvpn::protocol
