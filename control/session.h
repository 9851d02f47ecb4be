// What the engine keeps of one peer: its session, the handshakes that may become one, and the
// receiver indices that still take what is in flight. An idle peer costs a PeerState and no more.
//
// Control thread only. SessionRecord's state and version change through step() alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/handshake_mac.h"
#include "common/noise.h"
#include "common/policy.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/key_generation.h"
#include "control/path.h"
#include "control/session_fsm.h"

namespace jvpn {

/// A rekey that was asked for and not yet answered. Each repetition is a new one.
struct RekeyAttempt {
  NoiseHandshake noise;
  ReceiverIndex local;
};

/// One session, from BIRTH on.
struct Session {
  SessionRecord record;
  SessionId id;
  PeerId peer;
  Path path;
  Suite suite{};
  bool initiator = false;  ///< this end dialled: it confirms keys and starts rekeys
  bool confirmed = false;  ///< initiator: the peer has shown that it has the current keys
  uint16_t peer_mtu = 0;   ///< as the responder told; 0: not told
  Reason last_reason{};
  std::unique_ptr<const Policy> tightened;  ///< initiator: with the responder's tighter bounds

  std::unique_ptr<KeyGeneration> current;   ///< sending, unless in BIRTH
  std::unique_ptr<KeyGeneration> previous;  ///< only receiving, until retire_at
  std::unique_ptr<KeyGeneration> next;      ///< responder: answered, not yet confirmed
  std::unique_ptr<RekeyAttempt> rekey;      ///< initiator
  Millis rekey_at;                          ///< initiator: when to ask, or ask again
  uint64_t rx_packets_before_key = 0;
  uint64_t rekeys = 0;

  Millis heartbeat_sent;
  std::optional<uint32_t> rtt_us;  ///< smoothed
};

/// The wish to have a session with a peer, and the attempt under way. Stays while the session
/// lives, so that the peer is dialled again when it ends.
struct Dial {
  Path path;
  ResponderMacKeys macs;
  bool active = false;  ///< attempts are being made
  Millis started;       ///< when `active` became true
  Millis next_attempt;
  uint32_t attempts = 0;
  std::optional<NoiseHandshake> noise;  ///< of the latest attempt; older ones are given up
  ReceiverIndex local;                  ///< its index; 0: none
  Mac mac1{};  ///< of the latest initiation, which a cookie reply must name
  std::optional<Mac> cookie;
  Millis cookie_until;

  ~Dial() { wipe(&macs.mac1, sizeof macs.mac1); }
};

/// An index of a superseded session: in-flight packets are still delivered, nothing is sent.
struct DrainingIndex {
  ReceiverIndex index;
  Millis until;
};

/// Everything of one configured peer.
struct PeerState {
  wire::Timestamp latest_received{};  ///< of its initiations and rekeys; outlives sessions
  wire::Timestamp latest_sent{};
  std::unique_ptr<Session> session;  ///< the one that carries data
  std::unique_ptr<Session> pending;  ///< responder: in BIRTH
  std::unique_ptr<Dial> dial;
  std::vector<DrainingIndex> draining;
};

}  // namespace jvpn
