// What one worker holds of what it sends (docs/DESIGN.md, hold): references to packets in the order
// in which they came, and for each peer the list of its own.
//
//   ring, all peers:  oldest ── a ── b ── a ── a ── b ── latest
//   list of a peer:   sent, sent, sent, waiting, waiting
//
// One array, made at the start: the oldest give way. Sent packets are sealed frames, which a port
// may still have: they are only read. Waiting ones are inner packets that nobody else has, and are
// wiped when they are dropped; or frames that a port didn't take. Worker core, one instance each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <rte_mbuf.h>

#include "common/drop.h"
#include "common/exchange.h"
#include "common/limits.h"
#include "common/session_table.h"
#include "common/types.h"
#include "dataplane/burst.h"

namespace jvpn {

class HoldStore {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  enum class State : uint8_t {
    kGone,     ///< the place is free as soon as it is the oldest
    kSent,     ///< sealed under `index` and `counter`
    kWaiting,  ///< to be sent
  };
  /// One packet. Its mbuf may lie in a transmit ring, so what is needed of it stands here.
  struct alignas(kCacheLine) Entry {
    rte_mbuf* packet = nullptr;
    uint64_t since_tsc = 0;
    uint64_t counter = 0;  ///< unmasked
    ReceiverIndex index;
    PeerId to;
    PeerId from;            ///< as InnerPacket
    uint32_t session = 0;   ///< TxRecord::hold_session that it may go by
    uint32_t next = kNone;  ///< in the peer's list
    uint16_t offset = 0;    ///< of the inner packet, sealed or not, in its buffer
    uint16_t bytes = 0;     ///< of it, without the tag
    uint16_t port = 0;      ///< as InnerPacket
    State state = State::kGone;
    Origin origin = Origin::kInside;
    bool sealed = false;
    bool linked = false;

    uint8_t* inner() const { return static_cast<uint8_t*>(packet->buf_addr) + offset; }
  };

  /// `packets` of all peers at once; copies of what must not be held itself come from `pool`.
  HoldStore(uint32_t packets, uint32_t peers, uint32_t workers, rte_mempool* pool,
            WorkerCounters& counters);
  ~HoldStore();
  HoldStore(const HoldStore&) = delete;
  HoldStore& operator=(const HoldStore&) = delete;

  rte_mempool* pool() const { return pool_; }
  void set_limits(const GatewayHoldLimits& limits) { limits_ = limits; }
  const GatewayHoldLimits& limits() const { return limits_; }

  /// TxRecord::hold_serial that what is held of the peer went by, or shall go by.
  uint32_t serial(PeerId peer) const { return peers_[peer.value].serial; }
  /// TxRecord::hold_session of that record.
  uint32_t session(PeerId peer) const { return peers_[peer.value].session; }
  /// What the peer gets now has to wait behind what waits already.
  bool queues(PeerId peer) const { return peers_[peer.value].first_waiting != kNone; }
  uint32_t first_waiting(PeerId peer) const { return peers_[peer.value].first_waiting; }
  Entry& entry(uint32_t place) { return entries_[place]; }

  /// The latest of its peer. Makes room at the cost of the oldest, as much as one poll has time
  /// for. False: there is none for so much, the packet stays the caller's.
  bool append(const Entry& entry);
  /// What was sent to the peer has to be judged by the terms of that record, and goes again or is
  /// let go; all that waits, too. `carried`: the path of before carries all that was sent. If
  /// nothing waits, nothing is judged now.
  void settle(PeerId peer, const TxRecord& record, bool carried);
  /// The peer's oldest packet, which is held no longer than until something is judged: the path
  /// that it was sent by carried it.
  bool oldest_was_carried(PeerId peer) const { return peers_[peer.value].carried_to != kNone; }
  /// The peer's packets before `place` don't wait any more; kNone: none does.
  void set_first_waiting(PeerId peer, uint32_t place);

  /// Ends the holding of one. What waited is dropped by that name.
  void let_go(uint32_t place, Drop why);
  /// The same for one whose mbuf somebody else has now; nothing is counted.
  void forget(uint32_t place);
  /// All of a peer's, or as many as one poll has time for.
  void let_all_go(PeerId peer, Drop why);
  /// What is too old, or as much of it as one poll has time for.
  void expire(uint64_t now_tsc);
  bool too_old(const Entry& entry, uint64_t now_tsc) const {
    return now_tsc - entry.since_tsc > limits_.longest_tsc;
  }

  // One peer of each kind in each poll, in turn; kNobody: there is none.
  static constexpr PeerId kNobody{UINT32_MAX};
  PeerId next_held() { return turn(kHeld); }
  PeerId next_waiting() { return turn(kWaits); }

  /// Tells control what is held.
  void count();
  uint32_t packets() const { return held_; }
  WorkerCounters& counters() { return counters_; }

 private:
  static constexpr unsigned kAtOnce = 512;  ///< packets let go in one poll
  enum List : uint8_t { kHeld, kWaits, kLists };
  struct Links {
    uint32_t next = kNone;  ///< peers; kNone: not in the list
    uint32_t before = kNone;
  };
  struct Peer {
    uint32_t head = kNone;
    uint32_t tail = kNone;
    uint32_t first_waiting = kNone;
    uint32_t carried_to = kNone;  ///< the latest that was sent by a path which carried all
    uint32_t serial = 0;
    uint32_t session = 0;
    uint32_t bytes = 0;
    Links links[kLists];
  };

  uint32_t after(uint32_t place) const { return place + 1 == entries_.size() ? 0 : place + 1; }
  static uint32_t space(const Entry& entry) { return entry.bytes + uint32_t{sizeof(Entry)}; }
  void pop_oldest(Drop why);
  void end(uint32_t place);
  void trim(Peer& peer, PeerId id);
  void join(List list, PeerId id);
  void leave(List list, PeerId id);
  PeerId turn(List list);

  std::vector<Entry> entries_;
  std::vector<Peer> peers_;
  rte_mempool* pool_;
  WorkerCounters& counters_;
  uint32_t workers_;
  GatewayHoldLimits limits_;
  uint32_t oldest_ = 0;
  uint32_t used_ = 0;  ///< places from the oldest on, gone ones among them
  uint32_t held_ = 0;
  uint64_t held_bytes_ = 0;
  uint32_t cursor_[kLists] = {kNone, kNone};
};
static_assert(sizeof(HoldStore::Entry) == kHoldEntryBytes);

}  // namespace jvpn
