// Makes the engine's decisions visible to workers: records are built, stored with release order,
// and the replaced ones freed after an RCU grace period. No worker ever stops for it.
//
// Control thread only. Counters of retired lanes flow into totals, so that none is lost.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/aead.h"
#include "common/ip_header.h"
#include "common/lane_report.h"
#include "common/port_info.h"
#include "common/result.h"
#include "common/secret.h"
#include "common/session_table.h"
#include "control/publish/hold_book.h"
#include "control/publish/lane_counts.h"
#include "control/publish/reclaimer.h"
#include "control/publish/slab.h"
#include "control/publish/tx_key.h"
#include "control/session/effects.h"

namespace jvpn::publish {

/// What came on the lanes of one index.
struct LaneTotals {
  uint64_t expected = 0;  ///< by the highest sequence of each
  uint64_t received = 0;
  uint64_t last_rx_tsc = 0;  ///< 0: none yet
};

enum class Report : uint8_t { kNo, kYes };

/// What came under an index of the peer's, all told.
struct ClosedLanes {
  PeerId peer;
  LaneReport report;
};

class Publisher {
 public:
  /// `table`, `reclaimer` and `ports` (by number) outlive the publisher, and no worker reads the
  /// table any more when it goes. Fails when the CPU can't run the AEAD.
  static Result<std::unique_ptr<Publisher>> create(SessionTable& table, Reclaimer& reclaimer,
                                                   std::span<const PortInfo> ports,
                                                   unsigned workers);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Sets memory aside for an index with so many lanes, replacing what was: its install_rx() can't
  /// fail for want of it then. False: there is none, or nobody may have so many.
  bool reserve_rx(PeerId peer, ReceiverIndex index, uint16_t lanes);
  /// The index will not be installed.
  void release_rx(ReceiverIndex index);
  /// Sets memory aside for the peer's next install_tx(), fresh lanes included; once more is fine.
  bool reserve_tx(PeerId peer, uint16_t lanes);

  /// Both installs take deadlines by the TSC; their own are by another clock.
  Refusal install_rx(const session::RxInstall& install, uint64_t deadline_tsc = kNoDeadline);
  /// Workers let answers to our initiation pass that is about to name the index.
  void await_answer(ReceiverIndex index) { table_.await(index); }
  /// Workers let resets pass that name an index which we send to.
  void await_reset(PeerId peer, ReceiverIndex index) { table_.note_sends_to(peer, index); }
  /// Data on an installed index is expected from there; workers tell when it isn't. They drop
  /// control messages from elsewhere while the keys aren't confirmed.
  void bind_rx(const session::RxBind& bind);
  /// `report`: take_closed() has what came under it, once no worker can add to that.
  void retire_rx(ReceiverIndex index, Report report = Report::kNo);
  /// Of indices that were retired with a report, once each; the list is empty then.
  std::vector<ClosedLanes> take_closed() { return std::exchange(closed_, {}); }

  /// Publishes the peer's TxRecord, which leaves by `next_hop`: that outlives it, and says whether
  /// its address is known. nullptr: there is none, workers drop the packets by name. Under one
  /// traffic key a lane keeps its TxLane, so that no counter can repeat; an install that would go
  /// back to lanes below those of the highest binding version is refused: they are gone. A refused
  /// install takes the send side away.
  Refusal install_tx(const session::TxInstall& install, const SharedHop* next_hop,
                     uint64_t deadline_tsc = kNoDeadline);
  /// `waiting`: the session goes on, and packets wait for its next path where workers hold any.
  void withdraw_tx(PeerId peer, session::Waiting waiting = session::Waiting::kLetGo);

  /// What is installed holds until another time.
  void extend_rx(ReceiverIndex index, uint64_t deadline_tsc);
  void extend_tx(PeerId peer, uint64_t deadline_tsc);

  /// Workers seal packets to the peer at that time: it has a send side, which neither has expired
  /// nor is silent because the store proves nothing any more.
  bool carries(PeerId peer, uint64_t now_tsc) const;
  /// Since the peer last had neither a receive nor a send side.
  TrafficTotals totals(PeerId peer) const;
  /// Of the lanes of an installed index; zeros for any other.
  LaneTotals lane_totals(ReceiverIndex index) const;
  /// What workers find of a peer at this moment, read from the table as they do.
  session::PublishedIndices seen_rx(PeerId peer) const;
  /// The same of its send side; nullptr: it has none. Valid until the next call that changes the
  /// peer.
  const TxRecord* seen_tx(PeerId peer) const;
  /// Installs refused. Those sides carry nothing.
  uint64_t failures() const { return failures_; }
  /// Peers that there may be.
  size_t room() const { return table_.peers(); }
  size_t bytes_in_use() const { return slab_.in_use(); }
  /// What workers are told of the packets that they hold.
  HoldBook& hold() { return hold_; }

 private:
  /// What the next install needs at most.
  struct TxReserve {
    TxRecord* record = nullptr;
    TxLanes lanes;
  };
  struct Peer {
    uint64_t incarnation = 0;
    uint32_t hold_session = 0;  ///< of its records; not 0
    std::vector<const RxRecord*> rx;
    const TxRecord* record = nullptr;  ///< as in the table
    TxReserve reserve;
    TxKey tx;
    TrafficTotals retired;  ///< of lanes that are gone or wait for their grace period
  };

  Publisher(SessionTable& table, Reclaimer& reclaimer, std::span<const PortInfo> ports,
            unsigned workers, Aead aead);
  Peer& peer_of(PeerId id);
  const RxRecord* installed(ReceiverIndex index) const {
    const RxRecord* record = table_.rx(index.value);
    return record != nullptr && record->index == index ? record : nullptr;
  }
  void release(TxReserve& reserve);
  Refusal refused(Refusal why);
  RxRecord* take_rx(const session::RxInstall& install);
  RxRecord* make_rx(uint16_t lanes);
  void destroy(const RxRecord* record);
  TxRecord* build_tx(Peer& peer, const TxLanes& lanes, const session::TxInstall& install);
  void drop_record(PeerId id, Peer& peer);
  void retire(const RxRecord* record);
  void retire(const TxRecord* record);
  void retire(PeerId id, Peer& peer, const TxLanes& old);
  void forget_if_unused(PeerId id);

  SessionTable& table_;
  Reclaimer& reclaimer_;
  std::span<const PortInfo> ports_;
  unsigned workers_;
  Aead aead_;
  Slab slab_;
  HoldBook hold_;
  const SharedHop nowhere_;  ///< the next hop of who has none
  std::unordered_map<uint32_t, Peer> peers_;
  std::unordered_map<uint32_t, RxRecord*> reserved_rx_;  ///< by index
  std::vector<ClosedLanes> closed_;
  uint64_t next_incarnation_ = 1;
  uint64_t failures_ = 0;
};

}  // namespace jvpn::publish
