// The wish to have a session with a peer, and the attempts under way: one for each gateway of the
// peer's, because keys, cookie and freshness are between this end and one gateway.
//
// Control thread only.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>

#include "common/handshake_mac.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/secret.h"
#include "common/types.h"
#include "common/wire_handshake.h"

namespace jvpn::session {

/// Not among the peer's gateways: the profile has changed.
inline constexpr GatewayNumber kNoGateway{UINT8_MAX};

/// The latest initiation to one gateway, and what that gateway gave for the next.
struct Attempt {
  GatewayNumber gateway;
  Path path;          ///< of the latest; of the next, when `again`
  bool again = true;  ///< the next one goes by `path`; else by the next candidate
  size_t next = 0;    ///< candidate whose turn that is
  std::optional<NoiseHandshake> noise{};  ///< none: nothing is out; older ones are given up
  ReceiverIndex local{};                  ///< its index; 0: none
  Millis sent{};
  Mac mac1{};                   ///< which a cookie reply must name
  SessionId claimed{};          ///< zero: none
  wire::Freshness freshness{};  ///< of the latest retry
  std::optional<Mac> cookie{};  ///< good for `path` alone
  Millis cookie_until{};
  bool cookie_is_new = false;   ///< no attempt has carried it yet
  bool carried_cookie = false;  ///< the latest attempt did
  bool retried = false;         ///< a retry had its answer since the latest attempt that was due
  bool early_cookie = false;    ///< it came with the answer to an inquiry
  bool declined = false;        ///< it answered a claim by a new session, which wasn't taken
};

/// To a gateway beside the one that has the session. Written by protocol::Inquirer.
struct Inquiry {
  Path path;
  NoiseHandshake noise;
  ReceiverIndex local;
  Millis sent;
  uint64_t sent_us = 0;      ///< by Environment::clock_us()
  Mac mac1{};                ///< which an answer must name
  bool asked_twice = false;  ///< with the cookie that the first one was answered by
};

/// Stays while the session lives, so that the peer is dialled again when it ends. Written by
/// protocol::Dialer, but for start().
struct Dial {
  ResponderMacKeys macs;
  std::deque<Attempt> attempts;    ///< by gateway, each once; none moves
  std::optional<Inquiry> inquiry;  ///< that is out
  GatewayNumber latest;            ///< which was called last, or is called first
  GatewayNumber other;             ///< which was called last beside the one that has the session
  GatewayNumber doubtful;          ///< likewise, of those that nobody expects to answer
  bool active = false;             ///< attempts are being made
  Millis started;                  ///< when `active` became true
  Millis next_round;
  uint32_t rounds = 0;
  bool claimed_elsewhere = false;  ///< since `started`
  uint32_t unanswered = 0;         ///< rounds since the latest session
  uint32_t unopened = 0;           ///< answers since then that our keys don't open
  uint32_t cookies = 0;            ///< since then
  uint32_t retries = 0;
  Millis not_before;       ///< no attempt begins earlier
  unsigned takeovers = 0;  ///< by another holder of our key, in a row
  bool fresh = false;      ///< another session is wanted than the one there is
  bool beside = false;     ///< a reset began it; a sign of life of the session ends it
  /// The gateway that has the session asks it to go on elsewhere: others are called, and the
  /// session stays as it is until one of them has it.
  bool leaving = false;
  Millis next_leave;    ///< the next such request isn't followed before
  Millis next_reset;    ///< none is taken before
  unsigned resets = 0;  ///< taken in a row; each doubles the wait

  ~Dial() { wipe(&macs.mac1, sizeof macs.mac1); }

  /// nullptr: that gateway was never called.
  const Attempt* at(GatewayNumber gateway) const {
    const auto found = std::ranges::find(attempts, gateway, &Attempt::gateway);
    return found == attempts.end() ? nullptr : &*found;
  }
  Attempt* at(GatewayNumber gateway) {
    const auto found = std::ranges::find(attempts, gateway, &Attempt::gateway);
    return found == attempts.end() ? nullptr : &*found;
  }
  /// Attempts are made from `now` on; the first one by the path that was taken last.
  void start(Millis now) {
    active = true;
    beside = leaving = claimed_elsewhere = false;
    rounds = 0;
    next_round = started = std::max(now, not_before);
    for (Attempt& each : attempts) each.declined = false;
    Attempt* const first = at(latest);
    if (first == nullptr) return;
    first->again = true;
    first->next = 0;
  }
};

}  // namespace jvpn::session
