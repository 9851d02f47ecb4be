// The initiator's side of an inquiry (docs/PROTOCOL.md, inquiry): while the session is well, every
// path to the other gateways of the peer's cluster is asked now and then whether its gateway is
// there and takes sessions, and what the answer brings is kept. So the claim of a session whose
// gateway has died goes first where somebody answers. Control thread only.
#pragma once

#include "control/protocol/handshake_messages.h"
#include "control/session/bindings.h"
#include "control/session/part.h"
#include "control/session/reporter.h"

namespace jvpn::protocol {

class Inquirer : public Part {
 public:
  Inquirer(Context& context, const Identity& self, Reporter& reporter, Bindings& bindings)
      : context_(context), self_(self), reporter_(reporter), bindings_(bindings) {}

  /// One inquiry is out at a time. None while the peer is dialled, which takes indices.
  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

  /// Returns the peer that was asked; nullopt: nobody waits for it, or it is forged.
  std::optional<PeerId> on_readiness(Millis now, const Path& from,
                                     std::span<const uint8_t> datagram);
  /// The gateway is busy and wants proof of our address: it is asked once more with that. nullopt:
  /// no inquiry's.
  std::optional<PeerId> on_cookie_reply(Millis now, const Path& from,
                                        std::span<const uint8_t> datagram);

 private:
  bool may_ask(const Session& session) const;
  Candidate* asked(PeerId id) const;
  void ask(Millis now, PeerId id, Candidate& candidate);
  void give_up(Millis now, const Session& session);
  void stop(Dial& call);
  void refuse(Millis now, const Path& from, Reason reason, Detail detail, PeerId id);
  std::optional<PeerId> asker(ReceiverIndex index, const Path& from) const;
  Millis jittered(Millis now, Millis wait) const;

  Context& context_;
  const Identity& self_;
  Reporter& reporter_;
  Bindings& bindings_;
};

}  // namespace jvpn::protocol
