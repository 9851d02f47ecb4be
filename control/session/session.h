// What the engine keeps of one peer: its session, the handshakes that may become one, and the
// receiver indices that still take what is in flight. An idle peer costs a PeerState and no more.
//
// Control thread only. SessionRecord's state and version change through step() alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/handshake_mac.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/policy.h"
#include "common/token_bucket.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/jump/path_choice.h"
#include "control/session/key_generation.h"
#include "control/session/quality.h"
#include "control/session/state_machine.h"

namespace jvpn::session {

/// A rekey that was asked for and not yet answered. Each repetition is a new one.
struct RekeyAttempt {
  NoiseHandshake noise;
  ReceiverIndex local;
};

/// Responder: a request that was challenged and not yet answered. Its repetitions belong to it.
struct OutstandingChallenge {
  Path from{};               ///< as observed
  uint16_t number = 0;       ///< of the spare binding that it came on
  ReceiverIndex receiver{};  ///< initiator's, for the new binding
  uint64_t first_nonce = 0;
  uint64_t latest_nonce = 0;
  bool retires = false;  ///< the active binding, at the commit
  Millis until{};        ///< an answer that comes later is none
  wire::ReattachCause cause = wire::ReattachCause::kDead;
};

/// Responder: an address that answered a challenge on a spare index.
struct ValidatedPath {
  Path from{};
  ReceiverIndex index{};
  ReceiverIndex receiver{};  ///< initiator's, on that path
  Millis until{};
};

/// Responder: all that is remembered of a session's reattach requests; fixed in size.
struct ReattachMemory {
  TokenBucket rate;
  TokenBucket probe_rate;
  uint64_t latest_nonce = 0;
  std::optional<OutstandingChallenge> outstanding;
  BindingVersion replaced;       ///< by the latest commit; 0: none yet
  uint64_t committed_nonce = 0;  ///< of the latest commit
  std::array<ValidatedPath, wire::kSpareIndices> validated{};
  size_t next_validated = 0;
};

/// Initiator: requests being made over one candidate path.
struct Jump {
  Path path;
  wire::ReattachCause cause = wire::ReattachCause::kDead;
  uint64_t first_nonce = 0;
  uint64_t news_nonce = 0;  ///< of the first request with what the latest reject told
  Millis next_send;
  Millis gives_up;  ///< then it's the next candidate's turn
};

/// Initiator: what probing has shown of a path that the session may jump to.
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

/// A control message that came while a commit was pending.
struct WaitingMessage {
  Path from;
  ReceiverIndex index;
  uint64_t counter = 0;
  std::vector<uint8_t> plaintext;
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
  wire::PolicySnapshot told_policy{};       ///< initiator: those

  std::unique_ptr<KeyGeneration> current;   ///< sending, unless in BIRTH
  std::unique_ptr<KeyGeneration> previous;  ///< only receiving, until retire_at
  std::unique_ptr<KeyGeneration> next;      ///< responder: answered, not yet confirmed
  std::unique_ptr<RekeyAttempt> rekey;      ///< initiator
  Millis rekey_at;                          ///< initiator: when to ask, or ask again
  uint64_t rx_packets_before_key = 0;
  uint64_t rekeys = 0;

  Millis heartbeat_sent;
  PathQuality quality;         ///< of the bound path
  Millis quality_at;           ///< when to judge it next
  Millis reported_at;          ///< when our loss was last told to the peer
  bool reported_loss = false;  ///< and there was some
  Millis hinted_at;            ///< responder: when the initiator was last asked to jump
  Millis rebind_hinted_at;     ///< responder: when another source was last told to reattach

  uint64_t data_packets = 0;  ///< initiator: both ways, at the last look
  Millis data_at;             ///< initiator: when it was last seen to have grown
  Millis idle_granted;        ///< initiator: as the responder last answered
  Millis idle_sent;           ///< initiator: when it last announced

  bool tx_installed = false;      ///< the host sends on the active binding
  std::optional<uint16_t> ahead;  ///< initiator: number of the spare that data goes by uncommitted
  uint64_t switches = 0;

  std::unique_ptr<ReattachMemory> reattach;  ///< responder, from the first request on
  uint64_t commit_pending = 0;               ///< responder: ticket of the commit under way; 0: none
  std::vector<WaitingMessage> waiting;       ///< until that is decided
  bool drain_settles = false;  ///< responder: the initiator wasn't heard on the new binding yet

  std::unique_ptr<Jump> jump;  ///< initiator
  std::optional<Path> wanted;  ///< initiator: where a planned jump shall go
  wire::ReattachCause why_wanted = wire::ReattachCause::kPlanned;
  wire::ReattachCause cause = wire::ReattachCause::kDead;  ///< of the latest jump
  std::optional<Millis> failed_back;  ///< initiator: when it last returned to a preferred path
  unsigned failbacks_undone = 0;      ///< initiator: in a row, soon after; each doubles the wait
  Millis probe_at;                    ///< initiator: when to probe the candidates next
  uint64_t probe_nonce = 0;           ///< initiator: of the latest probe
  Millis jump_pause;                  ///< initiator: no jump begins before
  uint64_t nonce = 0;                 ///< initiator: of the latest request
  BindingVersion told_version;        ///< initiator: the highest that the responder told
  uint64_t clock_ahead = 0;           ///< initiator: responder's clock less ours, modulo 2^64
  Millis spares_asked;                ///< initiator: when spare indices were last asked for
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
  std::optional<Secret<kDhBytes>> static_secret;  ///< of both static keys, once needed
  std::vector<Candidate> candidates;              ///< initiator: by preference
};

}  // namespace jvpn::session
