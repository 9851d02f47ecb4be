// What the engine keeps of one session: what both ends have, and each end's own side. Every group
// of fields names the part of the engine that alone writes it; the others read.
//
// Control thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/lane_report.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/policy.h"
#include "common/replay_window.h"
#include "common/token_bucket.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/budgets.h"
#include "control/session/key_generation.h"
#include "control/session/path_quality.h"
#include "control/session/state_machine.h"
#include "control/session/totals.h"

namespace jvpn::session {

// ---- The initiator's side.

/// A rekey that was asked for and not yet answered. Each repetition is a new one.
struct RekeyAttempt {
  NoiseHandshake noise;
  ReceiverIndex local;
};

/// Written by protocol::Rekeyer.
struct RekeyState {
  std::unique_ptr<RekeyAttempt> attempt;
  uint64_t number = 0;  ///< of the latest call
  Millis due;           ///< when to ask, or ask again
  uint64_t rx_packets_before_key = 0;
  uint64_t rx_bytes_before_key = 0;
};

/// Written by protocol::Idleness.
struct IdleState {
  uint64_t data_packets = 0;  ///< both ways, at the last look
  Millis data_at;             ///< when it was last seen to have grown
  Millis granted;             ///< interval, as the responder last answered
  Millis announced;           ///< when the initiator last announced
  Millis answered_wish;       ///< the latest that was answered
  Millis answered;            ///< when
};

/// Requests being made over one candidate path.
struct Jump {
  Path path;
  wire::ReattachCause cause = wire::ReattachCause::kDead;
  uint64_t first_nonce = 0;
  uint64_t nonce_after_reject = 0;  ///< of the first request that used what the latest reject told
  Millis next_send;
  Millis gives_up;  ///< then it's the next candidate's turn
};

/// Where a session shall jump, and why.
struct JumpWish {
  Path path;
  wire::ReattachCause cause = wire::ReattachCause::kPlanned;
  bool held_back = false;  ///< by policy, as was told
};

/// Written by jump::Jumper.
struct JumpState {
  std::unique_ptr<Jump> jump;
  std::optional<JumpWish> wish;
  Millis pause;                 ///< no jump begins before
  uint64_t nonce = 0;           ///< of the latest request
  BindingVersion told_version;  ///< the highest that the responder told
  uint64_t clock_ahead = 0;     ///< responder's clock less ours, modulo 2^64
};

/// Written by jump::Failback.
struct FailbackState {
  std::optional<Millis> at;  ///< when the session last returned to a preferred path
  unsigned undone = 0;       ///< in a row, soon after; each doubles the wait
};

/// Written by jump::Prober.
struct ProbeState {
  Millis due;
  uint64_t nonce = 0;  ///< of the latest probe
};

/// The bound path is in doubt: probes of it are out.
struct Suspicion {
  bool told = false;  ///< by the responder, which hears nothing; else by what we don't hear
  Millis since{};     ///< silent since, or told at
  Millis began{};     ///< the first probe
  Millis next{};      ///< the next one
  Millis judge_at{};  ///< when enough of them have gone unanswered; kNever: not enough are out
  Millis asked{};     ///< when the other paths were asked first; kNever: not yet
  Millis planned{};   ///< when this was to be looked at, as of the last look
  uint32_t probes = 0;
};

/// Written by jump::PathWatch.
struct WatchState {
  Millis due;               ///< the next look
  Millis looked;            ///< the latest one
  Millis heard;             ///< SessionRecord::last_authentic then
  uint64_t tx_packets = 0;  ///< of data, then
  uint64_t rx_packets = 0;
  std::optional<Millis> unanswered;  ///< when data first left after the latest arrival
  Millis rest;                       ///< between looks while nothing leaves; doubles
  Millis pause;       ///< least silence that is probed, while only answers come; doubles
  Millis measure_at;  ///< a round trip is measured, if data flows
  std::optional<Suspicion> suspicion;
};

enum class MtuRound : uint8_t { kNone, kConfirm, kSearch, kRaise };

/// What one path takes, as far as probes have shown.
struct MtuSearch {
  Path path;
  uint16_t limit = 0;  ///< what its device and the peer take
  uint16_t mtu = 0;    ///< in use: `limit`, until probes show that it is less
  bool proven = false;
  MtuRound round = MtuRound::kNone;
  std::vector<uint16_t> asked;  ///< sizes of the latest round, by nonce
  uint64_t first_nonce = 0;
  uint16_t best = 0;  ///< the largest of them that was answered
  Millis due;
  Millis raise_at;                     ///< when larger sizes are tried
  std::optional<Millis> silent_since;  ///< nothing of a search was answered
  uint32_t seen_probes = 0;            ///< Candidate::probes at the last look
  uint16_t telling = 0;                ///< Session::path_mtu, as the latest probe told it
};

/// Written by jump::PathMtu.
struct MtuState {
  std::vector<MtuSearch> searches;
  uint64_t nonce = 0;       ///< of the latest probe
  uint64_t tx_packets = 0;  ///< of data, at the last look
  uint64_t rx_packets = 0;
  bool flows_in = false;     ///< data came between the last two looks
  bool stopped = false;      ///< it came, and does no longer; until the path is confirmed
  bool unconfirmed = false;  ///< data was sent since the latest confirmation of the bound path
  Millis confirmed;          ///< when that was
  uint16_t told = 0;         ///< as the responder knows it
};

/// Written by jump::LaneCloser.
struct ClosedForHold {
  std::vector<LaneReport> reports;  ///< of indices that were closed, until a commit is followed
  BindingVersion missed;            ///< the latest commit that paths were closed for
};

struct InitiatorSide {
  /// Of a handshake that goes on with a session, until its keys are confirmed.
  std::unique_ptr<wire::ResponsePayload> answer;
  wire::PolicySnapshot told_policy{};
  Policy policy;  ///< our own, with the responder's tighter bounds
  RekeyState rekey;
  IdleState idle;
  JumpState jumping;
  FailbackState failback;
  ProbeState probe;
  MtuState mtu;
  bool responder_holds = false;  ///< what it sends, as its answer told
  ClosedForHold closed;
  Millis spares_asked;  ///< when spare indices were last asked for; by jump::SpareKeeper
};

// ---- The responder's side.

/// Indices that an initiator holds packets under; 0: none.
using HeldIndices = std::array<ReceiverIndex, kHeldIndices>;

/// What a request tells of both ends' holds (docs/DESIGN.md, hold).
struct HoldWord {
  HeldIndices held{};  ///< the commit closes them
  /// What came under indices of the initiator's that it has closed; none: it doesn't say.
  std::optional<std::vector<LaneReport>> received{};
};

/// A request that was challenged and not yet answered. Its repetitions belong to it.
struct OutstandingChallenge {
  Path from{};               ///< as observed
  uint16_t number = 0;       ///< of the spare binding that it came on
  ReceiverIndex receiver{};  ///< initiator's, for the new binding
  uint64_t first_nonce = 0;
  uint64_t latest_nonce = 0;
  bool retires = false;  ///< the active binding, at the commit
  Millis until{};        ///< later responses are refused
  wire::ReattachCause cause = wire::ReattachCause::kDead;
  HoldWord hold{};
};

/// An index that was closed for its initiator's hold.
struct ClosedIndex {
  ReceiverIndex index;
  std::optional<LaneReport> report;  ///< none: the host hasn't said yet
};

/// Written by jump::ClosedLanes.
struct ClosedIndices {
  std::vector<ClosedIndex> list;  ///< as the latest committed request named them
  bool owes_ack = false;          ///< the acknowledgement waits for their reports
  Millis patience{};              ///< until then a repeated request waits with it
};

/// An address that answered a challenge on a spare index.
struct ValidatedPath {
  Path from{};
  ReceiverIndex index{};
  ReceiverIndex receiver{};  ///< initiator's, on that path
  Millis until{};
};

/// All that is remembered of a session's reattach requests and probes; fixed in size. Written by
/// jump::ReattachResponder, `validated` by jump::PathValidator.
struct ReattachMemory {
  TokenBucket rate;
  TokenBucket pace;         ///< the same rate, of the times at which they were sent
  ReplayWindow<64> nonces;  ///< of requests, whatever came of them
  std::optional<OutstandingChallenge> outstanding;
  BindingVersion replaced;       ///< by the latest commit; 0: none yet
  uint64_t committed_nonce = 0;  ///< of the latest commit
  std::array<ValidatedPath, wire::kSpareIndices> validated{};
  size_t next_validated = 0;
  ClosedIndices closed{};
};

/// A control message that came while a commit was pending.
struct WaitingMessage {
  Path from;
  ReceiverIndex index;
  uint64_t serial = 0;
  uint64_t counter = 0;
  std::vector<uint8_t> plaintext;
};

/// Something came from another source than the bound one, which was asked for a sign of life.
struct SourceDoubt {
  Path from;     ///< asked to reattach
  Millis until;  ///< when none has come
};

/// What the store has of a session, as far as it is known. Written by StoreCalls.
struct StoreState {
  bool owned = false;        ///< it has the session, as ours
  BindingVersion stored;     ///< the least that it may hold
  BindingVersion attempted;  ///< the most: of commits that weren't answered
  StateVersion ceiling;      ///< versions up to it are reserved; 0: nothing was asked yet
  uint64_t written = 0;      ///< ticket of the acquisition or reservation under way; 0: none
  Millis write_again;        ///< when that counts as unanswered
  uint64_t committed = 0;    ///< ticket of the latest commit
  Millis answer_due;         ///< when that counts as unanswered
};

/// What a handshake's session would go on with. Written by protocol::Resumer.
struct Resumption {
  bool living = false;      ///< the peer's session here is the one
  SessionRecord record;     ///< to begin with, else
  uint64_t from_epoch = 0;  ///< whose it was, else
  BindingVersion told;      ///< which the commit has to bring
};

/// Requests to go on at another gateway. Written by protocol::Drainer.
struct LeaveHints {
  Millis due;  ///< of the next
  uint32_t sent = 0;
};

struct ResponderSide {
  std::unique_ptr<Resumption> resumption;    ///< of a handshake that isn't confirmed yet
  std::unique_ptr<ReattachMemory> reattach;  ///< from the first request or probe on
  uint64_t latest_rekey = 0;                 ///< number of the latest call; by protocol::Rekeyer
  StoreState store;
  uint64_t commit_pending = 0;          ///< ticket of the commit under way; 0: none
  std::vector<WaitingMessage> waiting;  ///< until that is decided
  Millis hinted_at;  ///< when the initiator was last asked to jump; by jump::QualityMonitor
  std::optional<LeaveHints> leave;  ///< none: its turn isn't planned yet
  std::optional<SourceDoubt> doubt;
  Millis next_doubt;  ///< the bound source isn't asked again before
};

// ---- What both ends have.

/// What is told of a recovery or a planned jump when it ends. Written by Lifecycle.
struct RecoveryLog {
  Millis began;   ///< first request
  Millis latest;  ///< latest request
  uint32_t attempts = 0;
  uint32_t denied = 0;
  Detail gate = Detail::kNone;  ///< what policy held it back for, last
  bool told = false;
};

/// Written by jump::QualityMonitor.
struct QualityState {
  PathQuality path;            ///< the bound one
  Millis due;                  ///< when to judge it next
  Millis reported_at;          ///< when our loss was last told to the peer
  bool reported_loss = false;  ///< and there was some
};

/// The active binding. Written by Bindings.
struct BindingState {
  bool tx_installed = false;      ///< the host sends on it
  bool packets_wait = false;      ///< the host keeps what comes until there is a path again
  std::optional<uint16_t> ahead;  ///< initiator: number of the spare that data goes by uncommitted
  bool drain_settles = false;     ///< responder: the initiator wasn't heard on the new one yet
  uint64_t switches = 0;          ///< committed jumps
  uint64_t quota = 0;             ///< of each lane sent on, as it was when the lanes began
  std::pair<uint64_t, uint16_t> quota_of;  ///< key generation and number of their binding
  wire::ReattachCause cause = wire::ReattachCause::kDead;  ///< of the latest
};

/// One session, from BIRTH on.
class Session {
 public:
  /// One side is there, for the session's whole life. `totals` outlive it.
  Session(PeerId with, const Path& over, Suite under, const SessionRecord& first,
          SessionTotals& totals)
      : peer(with), path(over), suite(under), totals_(totals), record_(first) {
    ++counted();
  }
  ~Session() { --counted(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const SessionRecord& record() const { return record_; }
  State state() const { return record_.state; }
  bool has_transport() const { return record_.has_transport; }
  BindingVersion binding_version() const { return record_.binding_version; }
  /// This end dialled: it confirms keys, starts rekeys and jumps.
  bool initiates() const { return initiator != nullptr; }
  /// Responder: it goes on with another when its keys are confirmed.
  bool resumes() const { return responder != nullptr && responder->resumption != nullptr; }
  bool commit_pending() const { return responder != nullptr && responder->commit_pending != 0; }
  /// Initiator: requests are being made over a candidate path.
  bool jumping() const { return initiator != nullptr && initiator->jumping.jump != nullptr; }
  /// Initiator: it shall jump.
  bool wants_jump() const { return initiator != nullptr && initiator->jumping.wish.has_value(); }
  /// It has no transport to live on.
  bool must_jump() const {
    return state() == State::kRecovering || (state() == State::kDegraded && !has_transport());
  }
  /// Initiator: what its next switch would be.
  SwitchKind next_switch() const {
    if (!has_transport()) return SwitchKind::kRecovery;
    const bool rebind =
        wants_jump() && initiator->jumping.wish->cause == wire::ReattachCause::kRebind;
    return rebind ? SwitchKind::kRebind : SwitchKind::kWished;
  }
  /// Round trip on the bound path; 0 while none was measured.
  uint32_t rtt_us() const { return quality.path.rtt.rtt_us().value_or(0); }

  SessionId id;
  SessionId bound_id;  ///< as it was when the session attached; by Lifecycle
  PeerId peer;
  Path path;  ///< of the active binding; the latest one while there is none
  Suite suite{};
  uint16_t peer_mtu = 0;   ///< as the responder told; 0: not told
  uint16_t path_mtu = 0;   ///< what the paths take, by probes; 0: not known; by jump::PathMtu
  bool confirmed = false;  ///< initiator: the peer has shown that it has the current keys
  Reason last_reason{};
  uint64_t rekeys = 0;
  Millis heartbeat_sent;  ///< by protocol::Liveness
  Budgets budgets;        ///< of what the peer may ask for; by Context::admit()

  std::unique_ptr<KeyGeneration> current;   ///< sending, unless in BIRTH
  std::unique_ptr<KeyGeneration> previous;  ///< only receiving, until retire_at
  std::unique_ptr<KeyGeneration> next;      ///< responder: answered, not yet confirmed

  BindingState binding;
  RecoveryLog recovery;
  QualityState quality;
  WatchState watch;
  std::unique_ptr<InitiatorSide> initiator;
  std::unique_ptr<ResponderSide> responder;

 private:
  friend class Lifecycle;  // the one place that takes over what step() gives
  SessionRecord take_record(const SessionRecord& record) {
    --counted();
    const SessionRecord before = std::exchange(record_, record);
    ++counted();
    return before;
  }
  uint64_t& counted() { return totals_.sessions[static_cast<size_t>(record_.state)]; }

  SessionTotals& totals_;
  SessionRecord record_;
};

}  // namespace jvpn::session
