// What an engine is configured with, and what it counts.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/policy.h"
#include "common/types.h"
#include "control/session/budgets.h"
#include "control/session/ownership.h"
#include "control/session/totals.h"

namespace jvpn::session {

/// A configured peer, by PeerId order.
struct EnginePeer {
  std::string name;
  PublicKey public_key{};
  std::optional<PresharedKey> preshared;
  std::vector<Prefix> inner_addresses;  ///< told to an initiator: its own host addresses
  /// Of each gateway that it may be dialled at; one number, or none: all addresses are one
  /// gateway's.
  std::vector<GatewayEndpoint> gateways{};
};

struct EngineConfig {
  std::string node;  ///< among gateways that share a private key
  SecretKey private_key;
  std::vector<EnginePeer> peers;
  uint32_t peer_room = 0;     ///< peers that there may be later: none is moved for their sake
  std::vector<Suite> suites;  ///< allowed as responder; the first is offered as initiator
  Millis rekey_after{120'000};
  uint64_t rekey_after_packets = uint64_t{1} << 28;
  uint16_t lanes = 1;       ///< lanes this end sends on
  uint32_t slot_bits = 10;  ///< low bits of a receiver index that number a slot
  uint32_t handshakes_per_s = 1'000;
  Policy policy;
  /// Who keeps which session is whose; nullptr: the engine itself, in memory. Outlives the engine.
  Ownership* ownership = nullptr;
};

/// What workers did with initiations and inquiries in the engine's place.
struct CookieUse {
  uint64_t sent = 0;     ///< answered by a cookie
  uint64_t refused = 0;  ///< dropped: too many, or seen before
};

/// Counters of refused control-plane input, by name; for `jvpn show`.
struct EngineCounters {
  uint64_t handshakes_received = 0;
  uint64_t handshakes_refused = 0;
  uint64_t handshakes_throttled = 0;
  uint64_t no_room = 0;  ///< keys, bindings and changes of size put off: no memory, or no index
  uint64_t cookies_sent = 0;
  uint64_t resets_sent = 0;
  uint64_t resets_throttled = 0;  ///< not sent: more than handshakes are admitted
  uint64_t resets_taken = 0;      ///< each had a peer dialled
  uint64_t resets_refused = 0;    ///< forged: not the index' token, or not from there
  uint64_t resets_stale = 0;      ///< of indices that we have left, or sooner than one is taken
  uint64_t inquiries_answered = 0;
  uint64_t inquiries_throttled = 0;  ///< answered by a cookie, or not at all
  uint64_t control_received = 0;
  uint64_t control_replayed = 0;
  uint64_t control_malformed = 0;
  uint64_t control_unknown_type = 0;
  uint64_t control_unknown_field = 0;  ///< messages with a critical field that we don't know
  uint64_t control_stale = 0;
  uint64_t control_silent = 0;       ///< not answered: whose the session is couldn't be proven
  uint64_t transitions_refused = 0;  ///< triggers that no row of the state machine took
  uint64_t reattach_requests = 0;    ///< authentic ones
  uint64_t reattach_refused = 0;     ///< of those, by a check
  uint64_t reattach_bunched = 0;     ///< held up on the way, with others that were answered
  uint64_t reattach_commits = 0;
  uint64_t resumes = 0;                         ///< sessions that go on after a claim
  uint64_t resumes_refused = 0;                 ///< claims that weren't granted
  uint64_t parked = 0;                          ///< sessions that were left to another run
  std::array<uint64_t, kInputs> over_budget{};  ///< by Input: not handled
  SessionTotals totals;
};

}  // namespace jvpn::session
