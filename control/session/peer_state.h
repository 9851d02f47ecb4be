// What the engine keeps of one peer: its session, the handshakes that may become one, and the
// receiver indices that still take what is in flight. An idle peer costs a PeerState and no more.
//
// Control thread only.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "common/handshake_mac.h"
#include "common/noise.h"
#include "common/secret.h"
#include "control/session/session.h"

namespace jvpn::session {

/// The wish to have a session with a peer, and the attempt under way. Stays while the session
/// lives, so that the peer is dialled again when it ends. Written by protocol::Dialer, but for
/// start().
struct Dial {
  Path path;
  ResponderMacKeys macs;
  bool active = false;  ///< attempts are being made
  Millis started;       ///< when `active` became true
  Millis next_attempt;
  uint32_t attempts = 0;
  std::optional<NoiseHandshake> noise;  ///< of the latest attempt; older ones are given up
  ReceiverIndex local;                  ///< its index; 0: none
  uint32_t unanswered = 0;              ///< attempts since the latest session
  uint32_t unopened = 0;                ///< answers since then that our keys don't open
  uint32_t cookies = 0;                 ///< since then
  uint32_t retries = 0;
  Millis not_before;            ///< no attempt begins earlier
  unsigned takeovers = 0;       ///< by another holder of our key, in a row
  Mac mac1{};                   ///< of the latest initiation, which a cookie reply must name
  wire::Freshness freshness{};  ///< of the latest retry
  bool fresh = false;           ///< another session is wanted than the one there is
  SessionId claimed{};          ///< by the latest attempt; zero: none
  std::optional<Mac> cookie;    ///< good for `path` alone
  bool cookie_is_new = false;   ///< no attempt has carried it yet
  bool carried_cookie = false;  ///< the latest attempt did
  bool retried = false;         ///< a retry had its answer since the latest attempt that was due
  bool beside = false;          ///< a reset began it; a sign of life of the session ends it
  Millis next_reset;            ///< none is taken before
  unsigned resets = 0;          ///< taken in a row; each doubles the wait
  Millis cookie_until;

  ~Dial() { wipe(&macs.mac1, sizeof macs.mac1); }

  /// Attempts are made from `at` on.
  void start(Millis at) {
    active = true;
    beside = false;
    attempts = 0;
    next_attempt = started = std::max(at, not_before);
  }
};

/// An index of a binding or session that was replaced: in-flight packets are still delivered,
/// nothing is sent.
struct DrainingIndex {
  ReceiverIndex index;
  Millis until;
};

/// What probing has shown of a path that the session may jump to. Written by jump::Candidates.
struct Candidate {
  Path path;
  RttMeter rtt{};
  uint32_t probes = 0;                   ///< sent; those counted in `answered`
  uint32_t answered = 0;                 ///< bit n: the n-th latest was
  uint64_t nonce = 0;                    ///< of the probe that is out; 0: none
  Millis probed_at{};                    ///< when it was sent
  unsigned tried = 0;                    ///< jumps to it begun since the transport was lost
  std::optional<Millis> stable_since{};  ///< every probe answered since
  std::optional<Millis> left_at{};       ///< the session jumped away from it
};

/// Everything of one configured peer.
struct PeerState {
  bool configured = false;  ///< written by PeerTable; an id without a peer has nothing else
  /// Its initiations below are old; rises with each that is taken. Written by protocol::Acceptor.
  wire::Timestamp least_timestamp{};
  wire::Timestamp latest_sent{};
  std::unique_ptr<Session> session;  ///< the one that carries data
  /// A handshake's: responder, in BIRTH or to go on with a session; initiator, the latter alone.
  std::unique_ptr<Session> pending;
  std::unique_ptr<Dial> dial;
  std::vector<DrainingIndex> draining;
  uint32_t unconfirmed = 0;           ///< answers in a row that no confirmation followed
  bool owned_elsewhere = false;       ///< its latest session goes on at another node; by Lifecycle
  std::optional<Millis> replaced_at;  ///< when a session that was alive gave way to the latest
  std::optional<Secret<kDhBytes>> static_secret;  ///< of both static keys, once needed
  std::vector<Candidate> candidates;              ///< initiator: by preference
};

}  // namespace jvpn::session
