// What workers look up per packet: one RxRecord per receiver index, one TxRecord per peer.
//
// Writer: the control core, through control/publish/publisher. Readers: workers, lock-free. A
// record is immutable once stored (release store) but for the fields that say otherwise, replaced
// whole, and freed only after an RCU grace period. What workers write hangs off the records in
// lines of its own: lanes, each with the one writer that it names, and RxControl, with several.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>

#include <rte_prefetch.h>

#include "common/aead.h"
#include "common/control_filter.h"
#include "common/ip.h"
#include "common/limits.h"
#include "common/replay_window.h"
#include "common/result.h"
#include "common/types.h"
#include "common/wire.h"

namespace jvpn {

struct HoldTerms;

inline constexpr size_t kCacheLine = 64;

using LaneWindow = ReplayWindow<kReplayWindowBits, FarWords>;
struct alignas(kCacheLine) LaneWords {
  std::array<uint64_t, LaneWindow::kWords> words{};
};

/// Receive state of one lane: all that a packet in sequence needs, in one line. Writer: the worker
/// that claimed it, alone. Control reads the counters.
struct alignas(kCacheLine) RxLane {
  static constexpr uint32_t kUnclaimed = UINT32_MAX;
  std::atomic<uint32_t> owner{kUnclaimed};  ///< worker number; set once by compare-exchange
  uint32_t quiet_until = 0;           ///< no foreign source is told of before; worker's own clock
  uint32_t source_v4 = 0;             ///< inner source that routed to this peer; worker's own
  uint32_t source_generation = 0;     ///< of the routes then; 0: none is known
  std::atomic<uint64_t> packets{0};   ///< authentic and fresh; relaxed
  std::atomic<uint64_t> bytes{0};     ///< inner bytes of those; relaxed
  std::atomic<uint64_t> last_tsc{0};  ///< TSC of the burst with the latest of them; relaxed
  LaneWindow window;                  ///< has words before its first packet

  void keep_window_in(LaneWords& words) { window = LaneWindow({words.words.data()}); }
};
static_assert(sizeof(RxLane) == kCacheLine);
static_assert(sizeof(RxLane) + sizeof(LaneWords) == 1'088, "as common/limits.h says");

/// A deadline by the TSC that never passes. After its deadline a record moves no packet, whatever
/// control does: the end of its session or of its keys, whichever comes first.
inline constexpr uint64_t kNoDeadline = UINT64_MAX;

/// The TSC in steps of some ten milliseconds, as RxRecord keeps a deadline in the line that every
/// packet reads. It wraps around; what is compared lies within years.
class CoarseDeadline {
 public:
  CoarseDeadline() = default;
  explicit CoarseDeadline(uint64_t deadline_tsc)
      : at_(deadline_tsc == kNoDeadline ? 0 : std::max(coarse(deadline_tsc), 1U)) {}
  static uint32_t coarse(uint64_t tsc) { return static_cast<uint32_t>(tsc >> kShift); }
  /// `now`: coarse().
  bool passed(uint32_t now) const { return static_cast<int32_t>(now - at_) >= 0 && at_ != 0; }

 private:
  static constexpr unsigned kShift = 26;
  uint32_t at_ = 0;  ///< 0: none
};

/// What control messages of one receiver index need. `key` and `mask` are immutable; writer of
/// `port`: control; of the rest: the workers that such messages come to.
struct alignas(kCacheLine) RxControl {
  static constexpr uint16_t kAnyPort = UINT16_MAX;

  RawKey key{};  ///< expanded when a message comes
  /// Not kAnyPort: control takes only what comes in there, from the record's `source`.
  std::atomic<uint16_t> port{kAnyPort};
  uint64_t mask = 0;  ///< of the counters on the wire
  CycleBudget opened;
  SeenCounters seen;
};

/// One receiver index of ours: a key generation on a binding. Immutable, but for `source`,
/// `deadline` and what `lanes` names.
struct alignas(kCacheLine) RxRecord {
  AeadKey traffic_key;  ///< its ends are what short packets read: the lines below are beside one
  // One line, read for every packet; its lanes' first line is the next.
  ReceiverIndex index;  ///< compared with all 32 bits of the packet's
  PeerId peer;
  LaneId first_lane;
  uint16_t lane_count = 0;
  mutable std::atomic<CoarseDeadline> deadline{};  ///< writer: control
  /// Of the binding's remote (common/source_signal.h); 0: not compared. Writer: control.
  mutable std::atomic<uint64_t> source{0};
  RxLane* lanes = nullptr;  ///< lane_count of them, then an RxControl
  uint64_t mask = 0;        ///< of the counters on the wire
  uint64_t serial = 0;      ///< of the install: tells the index from its next use
  HeaderIv iv;              ///< the traffic key's

  RxControl& control() const { return *reinterpret_cast<RxControl*>(lanes + lane_count); }
};

/// Sending counter of one lane. Writer: the one worker that the lane belongs to.
struct alignas(kCacheLine) TxLane {
  std::atomic<uint64_t> next_sequence{0};  ///< only its worker writes; relaxed
  uint64_t quota = 0;                      ///< blocks that the key may still take; set at creation
  std::atomic<uint64_t> bytes{0};          ///< inner bytes; relaxed
};

/// Ethernet + IPv6 + UDP + transport header: the longest header template.
inline constexpr size_t kMaxTemplate = 14 + 40 + 8 + sizeof(wire::TransportHeader);

/// The neighbour that packets of many sessions leave by. A changed address is one store, whoever
/// goes by it. Writer: control.
struct alignas(kCacheLine) SharedHop {
  /// The first bytes of each frame: the neighbour's address, and how our port's own begins. 0: the
  /// neighbour's isn't known. Relaxed: it is all that there is to see.
  std::atomic<uint64_t> link{0};

  using Address = std::array<uint8_t, 6>;
  void set(const Address& neighbor, const Address& own);
  void forget() { link.store(0, std::memory_order_relaxed); }
};

/// All that sending to a peer needs, versioned by (binding_version, revision). Immutable, but for
/// `deadline_tsc` and what `lanes` names; TxLanes outlive revisions of one key generation, so no
/// counter repeats.
struct alignas(kCacheLine) TxRecord {
  AeadKey traffic_key;
  // One line.
  HeaderIv iv;  ///< the traffic key's
  /// Workers send nothing after it. Writer: control, relaxed.
  mutable std::atomic<uint64_t> deadline_tsc{kNoDeadline};
  TxLane* lanes = nullptr;  ///< worker w sends on lanes[w + workers × k], k < lanes_per_worker
  ReceiverIndex peer_index;
  LaneId first_lane;
  uint16_t lanes_per_worker = 1;
  uint16_t inner_mtu = 0;       ///< larger inner packets are answered by ICMP
  uint16_t port = 0;            ///< outside port
  uint16_t template_bytes = 0;  ///< 58 (IPv4) or 78 (IPv6)
  bool owned = false;           ///< carries nothing after SessionTable::silent_after()
  Family outer = Family::kNone;
  /// rte_raw_cksum() of the IPv4 header with total length 0 and checksum 0.
  uint16_t ipv4_checksum_base = 0;
  /// What was sent is held under another one: it is settled before anything goes by this record.
  /// 0: nothing is held.
  uint32_t hold_serial = 0;
  const SharedHop* next_hop = nullptr;  ///< outlives the record; known or not
  // One more, over IPv6 two: the template as it is copied before each packet; the next hop's bytes,
  // length fields, counter and (for IPv4) the header checksum are patched. common/tunnel_header.h
  // writes both.
  alignas(kCacheLine) uint8_t header[kMaxTemplate] = {};
  /// How what was held under earlier serials is settled; null: it is let go. Writer: control, which
  /// takes it away when nothing can be held any more that it is about.
  mutable std::atomic<const HoldTerms*> hold_terms{nullptr};
  /// Whom the PeerId stands for: of what is held, only what has the same goes by this record.
  uint32_t hold_session = 0;
  // Control's.
  BindingVersion binding_version;
  uint64_t revision = 0;
};

/// Fetches the lines that every packet of a session reads besides its key, and of a key that is far
/// away what prefetch_early() does; nullptr is fine. Not the lanes: which one a packet needs is
/// known from the record, and the others belong to other workers.
inline void prefetch_record(const RxRecord* record, bool far) {
  if (record == nullptr) [[unlikely]]
    return;
  rte_prefetch0(&record->index);
  if (far) prefetch_early(record->traffic_key);
}
inline void prefetch_record(const TxRecord* record, bool far) {
  if (record == nullptr) [[unlikely]]
    return;
  rte_prefetch0(&record->iv);
  rte_prefetch0(record->header);
  if (far) prefetch_early(record->traffic_key);
}

static_assert(sizeof(RxControl) == 2 * kCacheLine);
static_assert(sizeof(RxRecord) == sizeof(AeadKey) + kCacheLine);
static_assert(offsetof(RxRecord, index) == sizeof(AeadKey));
static_assert(offsetof(TxRecord, iv) == sizeof(AeadKey));
static_assert(offsetof(TxRecord, header) == sizeof(AeadKey) + kCacheLine);
static_assert(sizeof(TxRecord) == sizeof(AeadKey) + 3 * kCacheLine);
static_assert(sizeof(TxLane) == kCacheLine);

/// How much workers hold of what they send (docs/DESIGN.md, hold).
struct GatewayHoldLimits {
  uint64_t longest_tsc = 0;  ///< 0: nothing is held
  uint32_t bytes = 0;        ///< of one session, by all workers; likewise
  bool holds() const { return longest_tsc != 0 && bytes != 0; }
};

/// A resolved inside next hop. Immutable; replaced whole.
struct alignas(kCacheLine) NextHop {
  static constexpr size_t kLinkBytes = 16;

  uint16_t port = 0;
  uint16_t mtu = 1500;
  /// Two bytes of nothing and the Ethernet header, for IPv4 and for IPv6: one copy each.
  alignas(kLinkBytes) uint8_t link[2][kLinkBytes] = {};

  using Address = std::array<uint8_t, 6>;
  /// Writes both headers.
  void set_addresses(const Address& destination, const Address& source);
};

/// The arrays. Sized once; owned by the gateway's wiring.
class SessionTable {
 public:
  /// `peers` ≤ kMaxPeers. Memory comes from DPDK's heap; throws std::bad_alloc when it is short.
  explicit SessionTable(uint32_t peers);
  /// The same without an exception.
  static Result<std::unique_ptr<SessionTable>> create(uint32_t peers);
  ~SessionTable();
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  uint32_t peers() const { return peers_; }
  /// Receiver indices are slot numbers in their low `slot_bits()` bits; the rest is random.
  uint32_t slot_bits() const { return slot_bits_; }

  // Workers.
  const RxRecord* rx(uint32_t receiver) const {
    return rx_[receiver & mask_].load(std::memory_order_acquire);
  }
  /// An initiation of ours named this index as its sender, and no later one its slot.
  bool awaits(uint32_t receiver) const {
    return receiver != 0 && awaited_[receiver & mask_].load(std::memory_order_relaxed) == receiver;
  }
  /// The peer that we send to under that index of its, unless that was forgotten for another index.
  std::optional<PeerId> sends_to(uint32_t remote) const {
    const uint64_t known = sent_to_[sent_place(remote)].load(std::memory_order_relaxed);
    if (remote == 0 || static_cast<uint32_t>(known) != remote) return std::nullopt;
    return PeerId{static_cast<uint32_t>(known >> 32)};
  }
  const void* rx_slot_address(uint32_t receiver) const { return &rx_[receiver & mask_]; }
  const TxRecord* tx(PeerId peer) const { return tx_[peer.value].load(std::memory_order_acquire); }
  const void* tx_slot_address(PeerId peer) const { return &tx_[peer.value]; }
  const NextHop* next_hop(uint32_t n) const { return hops_[n].load(std::memory_order_acquire); }
  /// From that TSC on another gateway may own the sessions that a store owns for us.
  uint64_t silent_after() const { return silent_after_.load(std::memory_order_relaxed); }

  /// Sessions were handed over to other gateways lately: control takes what is for peers without
  /// one.
  bool forwards() const { return forwards_.load(std::memory_order_relaxed); }

  /// Not 0: the peer's session goes on without a path, and packets wait for one, where workers hold
  /// any; it is the TxRecord::hold_session of that path. Read after its tx() was null, and without
  /// meaning while there is one.
  uint32_t waits(PeerId peer) const { return waits_[peer.value].load(std::memory_order_relaxed); }
  GatewayHoldLimits hold_limits() const {
    return {hold_longest_.load(std::memory_order_relaxed),
            hold_bytes_.load(std::memory_order_relaxed)};
  }

  /// Control was at work at that TSC; 0: it has never been.
  uint64_t control_seen() const { return control_seen_.load(std::memory_order_relaxed); }

  // Control core.
  /// Each of its turns.
  void note_control(uint64_t tsc) { control_seen_.store(tsc, std::memory_order_relaxed); }
  void set_forwards(bool forwards) { forwards_.store(forwards, std::memory_order_relaxed); }
  /// Before the send side is taken away, or when the session ends without one. It stays when there
  /// is a send side again: a worker may have found none just before, and ask only now.
  void set_waits(PeerId peer, uint32_t session) {
    waits_[peer.value].store(session, std::memory_order_relaxed);
  }
  void set_hold_limits(const GatewayHoldLimits& limits) {
    hold_longest_.store(limits.longest_tsc, std::memory_order_relaxed);
    hold_bytes_.store(limits.bytes, std::memory_order_relaxed);
  }
  void set_silent_after(uint64_t tsc) { silent_after_.store(tsc, std::memory_order_relaxed); }
  // Each returns the record replaced, which the caller frees after a grace period.
  const RxRecord* store_rx(ReceiverIndex index, const RxRecord* record) {
    return rx_[index.value & mask_].exchange(record, std::memory_order_acq_rel);
  }
  const TxRecord* store_tx(PeerId peer, const TxRecord* record) {
    return tx_[peer.value].exchange(record, std::memory_order_acq_rel);
  }
  const NextHop* store_next_hop(uint32_t n, const NextHop* hop) {
    return hops_[n].exchange(hop, std::memory_order_acq_rel);
  }
  /// Before the initiation goes out.
  void await(ReceiverIndex index) {
    awaited_[index.value & mask_].store(index.value, std::memory_order_relaxed);
  }
  /// Before anything is sent to the peer under `remote`. One of two that share a place is
  /// forgotten: that peer's resets aren't seen.
  void note_sends_to(PeerId peer, ReceiverIndex remote) {
    sent_to_[sent_place(remote.value)].store(uint64_t{peer.value} << 32 | remote.value,
                                             std::memory_order_relaxed);
  }

 private:
  SessionTable(uint32_t peers, const std::nothrow_t&);
  bool complete() const {
    return rx_ != nullptr && tx_ != nullptr && hops_ != nullptr && awaited_ != nullptr &&
           sent_to_ != nullptr && waits_ != nullptr;
  }
  /// Of a peer's index, whose low bits are far from random.
  uint32_t sent_place(uint32_t remote) const {
    const uint32_t mixed = remote * 0x9e37'79b9U;
    return static_cast<uint32_t>(uint64_t{mixed} * sent_places_ >> 32);
  }

  uint32_t peers_;
  uint32_t slot_bits_;
  uint32_t mask_;
  std::atomic<const RxRecord*>* rx_;
  std::atomic<const TxRecord*>* tx_;
  std::atomic<const NextHop*>* hops_;
  std::atomic<uint32_t>* awaited_;  ///< by slot
  uint32_t sent_places_;
  std::atomic<uint64_t>* sent_to_;  ///< peer ‖ its index
  std::atomic<uint32_t>* waits_;    ///< by peer
  alignas(kCacheLine) std::atomic<uint64_t> silent_after_{kNoDeadline};
  std::atomic<bool> forwards_{false};
  std::atomic<uint64_t> hold_longest_{0};
  std::atomic<uint32_t> hold_bytes_{0};
  /// A line of its own: it is written all the time, and workers read it only for questions.
  alignas(kCacheLine) std::atomic<uint64_t> control_seen_{0};
};

}  // namespace jvpn
