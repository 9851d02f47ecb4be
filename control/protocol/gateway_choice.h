// Which of a peer's gateways is called next, by which path, and what the initiation can carry
// already. Part of Dialer. Control thread only.
#pragma once

#include "common/limits.h"
#include "control/session/context.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

/// So long what another gateway says of the session doesn't end it: the one that has it may be hard
/// to reach, and no more.
inline constexpr Millis kTrusted{kHandshakeTimeoutMs};

class GatewayChoice {
 public:
  explicit GatewayChoice(Context& context) : context_(context) {}

  /// What is known of a gateway that may never have been called.
  Attempt& attempt_at(PeerId id, GatewayNumber gateway);
  /// The gateway that has the session, as long as it can be claimed there; else one after the
  /// other.
  Attempt& first_of_round(PeerId id);
  /// A session without a transport is claimed at another gateway, too: the one that has it may be
  /// dead. One that leaves is claimed there alone.
  Attempt* other_of_round(Millis now, PeerId id);
  /// One of those that inquiries showed to be silent, or to take no sessions.
  Attempt* doubtful_of_round(Millis now, PeerId id);
  /// By which path the next initiation goes. False: by the same as the latest, with the cookie that
  /// it was answered by.
  static bool take_turn(const PeerState& peer, Attempt& attempt);
  /// What the answer to an inquiry brought for the initiation that goes by that path.
  static void use_standby(Millis now, const PeerState& peer, Attempt& attempt);

 private:
  enum class Standing : uint8_t { kGood, kDoubtful };
  Attempt* next_elsewhere(Millis now, PeerId id, GatewayNumber& after, Standing wanted);
  Attempt* best_elsewhere(PeerId id);

  Context& context_;
};

}  // namespace jvpn::protocol
