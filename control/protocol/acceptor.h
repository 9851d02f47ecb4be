// The responder's side of a handshake, cheapest check first:
//   1. size, reserved bytes, suite    2. mac1    3. rate, else a cookie for whoever has shown none,
//      and for whoever has, the holders' rate
//   4. X25519 and tags    5. a configured peer    6. a timestamp never seen, or else what a retry
//      told: an old one is answered by that, and makes nothing
// Only then is there a record, in BIRTH; the peer's session stays as it is until the new keys are
// confirmed by an authentic control message. Control thread only.
#pragma once

#include "common/token_bucket.h"
#include "control/protocol/cookie_holders.h"
#include "control/protocol/cookies.h"
#include "control/protocol/dialer.h"
#include "control/protocol/resumer.h"
#include "control/session/lifecycle.h"

namespace jvpn::protocol {

class Acceptor {
 public:
  Acceptor(Context& context, const Identity& self, Cookies& cookies, Reporter& reporter,
           Bindings& bindings, Lifecycle& lifecycle, Dialer& dialer, Resumer& resumer, Millis now);

  /// Returns the peer whose state may have changed.
  std::optional<PeerId> on_initiation(Millis now, const Path& from,
                                      std::span<const uint8_t> datagram,
                                      std::optional<MacVerdict> known);
  /// The store has told of a session that a handshake claims.
  void on_loaded(Millis now, const OwnershipReply& reply);
  /// Keys are confirmed from where the handshake came from, so that whoever redirected the
  /// initiation can't have the session's data sent to an address that never answered.
  bool may_confirm(const Session& pending, const Path& from) const;
  /// The initiator has shown that it has the keys: its session replaces the old one. False: too
  /// late.
  bool confirm(Millis now, PeerState& peer);
  /// What lets the peer's next initiation in, whatever its timestamp.
  wire::Freshness freshness_of(PeerId id) const;

 private:
  std::optional<PeerId> admit(Millis now, const Path& from, const wire::Initiation& message);
  bool admissible(Millis now, const Path& from, PeerId id, const InitiationState& initiation);
  bool dials_itself(Millis now, PeerId id) const;
  bool is_fresh(PeerId id, const Proof& proof) const;
  void proceed(Millis now, const Path& from, PeerId id, InitiationState& initiation,
               Resumer::Verdict verdict);
  void answer(Millis now, const Path& from, PeerId id, InitiationState& initiation,
              std::unique_ptr<Resumption> resumption);
  wire::ResponsePayload response_payload(Millis now, const Session& session, ReceiverIndex index,
                                         const SpareSet& spares) const;
  std::optional<wire::Response> write_answer(Millis now, InitiationState& initiation,
                                             const Session& session, ReceiverIndex index,
                                             const SpareSet& spares);
  void note_takeover(Millis now, PeerState& peer);
  void throttle(Millis now, const Path& from, PeerId id);
  void refuse(Millis now, const Path& from, Reason reason, Detail detail, PeerId id = kNoPeer);

  Context& context_;
  const Identity& self_;
  Cookies& cookies_;
  Reporter& reporter_;
  Bindings& bindings_;
  Lifecycle& lifecycle_;
  Dialer& dialer_;
  Resumer& resumer_;
  const wire::Timestamp started_;  ///< initiations from before may be anybody's recordings
  Secret<kHashBytes> retry_secret_;
  TokenBucket handshakes_;  ///< from any source
  CookieHolders holders_;
};

}  // namespace jvpn::protocol
