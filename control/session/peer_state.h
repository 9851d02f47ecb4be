// What the engine keeps of one peer: its session, the handshakes that may become one, and the
// receiver indices that still take what is in flight. An idle peer costs a PeerState and no more.
//
// Control thread only.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/noise.h"
#include "common/secret.h"
#include "control/session/dial.h"
#include "control/session/session.h"
#include "control/session/standby.h"

namespace jvpn::session {

/// An index of a binding or session that was replaced: in-flight packets are still delivered,
/// nothing is sent.
struct DrainingIndex {
  ReceiverIndex index;
  Millis until;
};

/// What probing has shown of a path that the session may jump to. Written by jump::Candidates, but
/// for `standby`.
struct Candidate {
  Path path;
  GatewayNumber gateway{};  ///< where it leads
  RttMeter rtt{};
  uint32_t probes = 0;                   ///< sent; those counted in `answered`
  uint32_t answered = 0;                 ///< bit n: the n-th latest was
  uint64_t nonce = 0;                    ///< of the probe that is out; 0: none
  Millis probed_at{};                    ///< when it was sent
  std::optional<Millis> answered_at{};   ///< the latest answer that came as soon as it used to
  unsigned tried = 0;                    ///< jumps to it begun since the transport was lost
  std::optional<Millis> stable_since{};  ///< every probe answered since
  uint32_t stable_answers = 0;           ///< as many of them
  std::optional<Millis> left_at{};       ///< the session jumped away from it
  Standby standby{};                     ///< as long as another gateway has the session
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
  /// Initiator: gateway by gateway, each by preference. Only those of the gateway that has the
  /// session are where it may jump.
  std::vector<Candidate> candidates;
};

/// There is a session that a handshake could go on with, and the responder is known to have had it.
inline bool may_claim(const PeerState& peer) {
  const Session* const session = peer.session.get();
  if (session == nullptr || !session->initiates() || peer.dial->fresh) return false;
  return session->confirmed || session->rekeys != 0 || session->binding.switches != 0;
}

/// The session is claimed elsewhere because its gateway asked for it. Without a transport it is
/// claimed as any other.
inline bool leaves(const PeerState& peer) {
  return peer.dial && peer.dial->leaving && peer.session && !peer.session->must_jump();
}

/// Those of the peer's candidates that lead to one gateway.
inline std::span<Candidate> candidates_at(PeerState& peer, GatewayNumber gateway) {
  return {std::ranges::lower_bound(peer.candidates, gateway, {}, &Candidate::gateway),
          std::ranges::upper_bound(peer.candidates, gateway, {}, &Candidate::gateway)};
}
inline std::span<const Candidate> candidates_at(const PeerState& peer, GatewayNumber gateway) {
  return {std::ranges::lower_bound(peer.candidates, gateway, {}, &Candidate::gateway),
          std::ranges::upper_bound(peer.candidates, gateway, {}, &Candidate::gateway)};
}

/// The gateway whose turn is after that one's; nullopt: there is none but `except`.
inline std::optional<GatewayNumber> gateway_after(const PeerState& peer, GatewayNumber after,
                                                  std::optional<GatewayNumber> except = {}) {
  std::optional<GatewayNumber> first;
  for (const Candidate& each : peer.candidates) {
    if (each.gateway == except) continue;
    if (each.gateway > after) return each.gateway;
    if (!first) first = each.gateway;
  }
  return first;
}

}  // namespace jvpn::session
