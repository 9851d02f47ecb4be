// reserve → install → fill the record → store it (release) → defer the old one → wiped and freed
// after the grace period.
#include "control/publish/publisher.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <rte_cycles.h>

#include "common/assert.h"
#include "common/ip_header.h"
#include "common/source_signal.h"
#include "common/tunnel_header.h"

namespace jvpn::publish {
namespace {

size_t bytes_with_lanes(uint16_t lanes) {
  return sizeof(RxRecord) + lanes * sizeof(RxLane) + sizeof(RxControl);
}
LaneWords* words_of(const RxRecord& record) {
  return reinterpret_cast<LaneWords*>(record.lanes->window.words().first);
}

LaneReport report_of(const RxRecord& record) {
  LaneReport report{record.index, true, {}};
  for (uint16_t i = 0; i < record.lane_count; ++i)
    add_lane(report, LaneId{static_cast<uint16_t>(record.first_lane.value + i)},
             record.lanes[i].window);
  return report;
}

/// As many for each worker, one at least.
unsigned tx_lanes(uint16_t lanes, unsigned workers) {
  return std::max(lanes / workers, 1U) * workers;
}

}  // namespace

Result<std::unique_ptr<Publisher>> Publisher::create(SessionTable& table, Reclaimer& reclaimer,
                                                     std::span<const PortInfo> ports,
                                                     unsigned workers) {
  auto aead = Aead::create();
  if (!aead) return aead.error();
  return std::unique_ptr<Publisher>(
      new Publisher(table, reclaimer, ports, workers, std::move(aead).value()));
}

Publisher::Publisher(SessionTable& table, Reclaimer& reclaimer, std::span<const PortInfo> ports,
                     unsigned workers, Aead aead)
    : table_(table),
      reclaimer_(reclaimer),
      ports_(ports),
      workers_(std::max(workers, 1U)),
      aead_(std::move(aead)),
      hold_(table, reclaimer, aead_) {
  peers_.reserve(table_.peers());  // growing later would take milliseconds
  reserved_rx_.reserve(table_.peers());
}

Publisher::~Publisher() {
  for (auto& [id, peer] : peers_) {
    for (const RxRecord* record : peer.rx) table_.store_rx(record->index, nullptr);
    if (peer.record != nullptr) table_.store_tx(PeerId{id}, nullptr);
  }
  reclaimer_.flush();  // deferred frees point into the slab
  for (auto& [id, peer] : peers_) {
    for (const RxRecord* record : peer.rx) destroy(record);
    slab_.destroy(peer.record);
    release(peer.reserve);
    for (const TxLanes& each : peer.tx.lanes()) slab_.destroy(each.lanes, each.count);
  }
  for (const auto& [index, record] : reserved_rx_) destroy(record);
}

Publisher::Peer& Publisher::peer_of(PeerId id) {
  const auto [at, fresh] = peers_.try_emplace(id.value);
  Peer& peer = at->second;
  if (!fresh) return peer;
  peer.incarnation = next_incarnation_++;
  peer.hold_session = std::max(static_cast<uint32_t>(peer.incarnation), 1U);
  return peer;
}

/// A record with its lanes behind it; nullptr without memory. The lanes' words lie elsewhere: few
/// packets read them, and records that lie close share pages.
RxRecord* Publisher::make_rx(uint16_t lanes) {
  JVPN_ASSERT(lanes != 0 && lanes <= kMaxLanes, "install_rx() refuses other numbers");
  LaneWords* words = slab_.make<LaneWords>(lanes);
  if (words == nullptr) return nullptr;
  void* memory = slab_.allocate(bytes_with_lanes(lanes));
  if (memory == nullptr) {
    slab_.destroy(words, lanes);
    return nullptr;
  }
  auto* record = new (memory) RxRecord;
  record->lane_count = lanes;
  record->lanes = reinterpret_cast<RxLane*>(record + 1);
  std::uninitialized_value_construct_n(record->lanes, lanes);
  new (&record->control()) RxControl;
  for (uint16_t i = 0; i < lanes; ++i) record->lanes[i].keep_window_in(words[i]);
  return record;
}

void Publisher::destroy(const RxRecord* record) {
  slab_.destroy(words_of(*record), record->lane_count);
  slab_.release(const_cast<RxRecord*>(record), bytes_with_lanes(record->lane_count));
}

bool Publisher::reserve_rx(PeerId peer, ReceiverIndex index, uint16_t lanes) {
  release_rx(index);
  if (lanes == 0 || lanes > kMaxLanes || peer.value >= table_.peers()) return false;
  RxRecord* record = make_rx(lanes);
  if (record == nullptr) return false;
  record->peer = peer;
  reserved_rx_.emplace(index.value, record);
  return true;
}

void Publisher::release_rx(ReceiverIndex index) {
  const auto at = reserved_rx_.find(index.value);
  if (at == reserved_rx_.end()) return;
  const RxRecord* record = at->second;
  reserved_rx_.erase(at);
  forget_if_unused(record->peer);
  destroy(record);
}

/// Set aside for the install, or else a fresh one; nullptr without memory.
RxRecord* Publisher::take_rx(const session::RxInstall& install) {
  const auto at = reserved_rx_.find(install.index.value);
  if (at == reserved_rx_.end() || at->second->lane_count != install.lanes) {
    release_rx(install.index);
    return make_rx(install.lanes);
  }
  RxRecord* record = at->second;
  reserved_rx_.erase(at);
  return record;
}

Refusal Publisher::refused(Refusal why) {
  JVPN_ASSERT(why != Refusal::kNone, "a refusal has its reason");
  ++failures_;
  return why;
}

Refusal Publisher::install_rx(const session::RxInstall& install, uint64_t deadline_tsc) {
  if (install.lanes == 0 || install.lanes > kMaxLanes || install.peer.value >= table_.peers())
    return refused(Refusal::kContradiction);
  RxRecord* record = take_rx(install);
  if (record == nullptr) return refused(Refusal::kNoMemory);
  // The engine frees a slot before it is used again; should it not, nothing leaks.
  if (const RxRecord* before = table_.rx(install.index.value)) retire_rx(before->index);
  record->index = install.index;
  record->serial = install.serial;
  record->peer = install.peer;
  record->first_lane = install.first_lane;
  record->deadline.store(CoarseDeadline(deadline_tsc), std::memory_order_relaxed);
  record->control().key = install.control_key;
  record->control().mask = install.control_mask;
  record->mask = install.data_mask;
  aead_.expand(install.suite, install.traffic_key, record->traffic_key);
  record->iv = HeaderIv(record->traffic_key);
  peer_of(install.peer).rx.push_back(record);
  const RxRecord* replaced = table_.store_rx(install.index, record);
  JVPN_ASSERT(replaced == nullptr, "the slot was emptied, and nobody else writes the table");
  return Refusal::kNone;
}

void Publisher::bind_rx(const session::RxBind& bind) {
  const RxRecord* record = installed(bind.index);
  if (record == nullptr) return;
  const uint16_t port = bind.confirmed ? RxControl::kAnyPort : bind.from.interface;
  record->source.store(source_tag(bind.from.remote), std::memory_order_relaxed);
  record->control().port.store(port, std::memory_order_relaxed);
}

/// After the grace period no worker has the record, and none can find it: its windows stand as they
/// will for ever, and are read before what retire() defers frees them.
void Publisher::retire_rx(ReceiverIndex index, Report report) {
  const RxRecord* record = installed(index);
  if (record == nullptr) return;
  const RxRecord* hidden = table_.store_rx(index, nullptr);
  JVPN_ASSERT(hidden == record, "nobody else writes the table");
  Peer& peer = peer_of(record->peer);
  const size_t erased = std::erase(peer.rx, record);
  JVPN_ASSERT(erased == 1, "a published record is in its peer's list, once");
  const PeerId id = record->peer;
  if (report == Report::kYes)
    reclaimer_.defer([this, record] { closed_.push_back({record->peer, report_of(*record)}); });
  retire(record);
  forget_if_unused(id);
}

/// Lanes of one binding: as many for each worker.
bool Publisher::reserve_tx(PeerId id, uint16_t lanes) {
  if (id.value >= table_.peers()) return false;
  TxReserve& reserve = peer_of(id).reserve;
  const unsigned wanted = tx_lanes(lanes, workers_);
  if (reserve.lanes.count != wanted) release(reserve);
  if (reserve.record == nullptr) reserve.record = slab_.make<TxRecord>();
  if (reserve.lanes.lanes == nullptr) reserve.lanes.lanes = slab_.make<TxLane>(wanted);
  reserve.lanes.count = static_cast<uint16_t>(wanted);
  if (reserve.record != nullptr && reserve.lanes.lanes != nullptr) return true;
  release(reserve);
  forget_if_unused(id);
  return false;
}

void Publisher::release(TxReserve& reserve) {
  slab_.destroy(reserve.record);
  slab_.destroy(reserve.lanes.lanes, reserve.lanes.count);
  reserve = {};
}

Refusal Publisher::install_tx(const session::TxInstall& install, const SharedHop* next_hop,
                              uint64_t deadline_tsc) {
  if (install.peer.value >= table_.peers()) return refused(Refusal::kContradiction);
  Peer& peer = peer_of(install.peer);
  TxKey::Choice choice{.refused = Refusal::kContradiction};
  if (install.path.interface < ports_.size())
    choice = peer.tx.choose(install, tx_lanes(install.lanes, workers_), slab_, peer.reserve.lanes);
  Refusal why = choice.refused;
  TxRecord* record = why == Refusal::kNone ? build_tx(peer, choice.lanes, install) : nullptr;
  if (record == nullptr) {
    why = refused(why == Refusal::kNone ? Refusal::kNoMemory : why);
    table_.set_waits(install.peer, 0);  // its session ends
    drop_record(install.peer, peer);
  } else {
    record->deadline_tsc.store(deadline_tsc, std::memory_order_relaxed);
    record->next_hop = next_hop != nullptr ? next_hop : &nowhere_;
    hold_.describe(install, *record, rte_rdtsc());
    table_.store_tx(install.peer, record);
    const TxRecord* replaced = std::exchange(peer.record, record);
    if (replaced != nullptr) retire(replaced);
  }
  hold_.published();
  // Only now that workers can't come by the record that names them.
  for (const TxLanes& each : choice.given_up) retire(install.peer, peer, each);
  release(peer.reserve);  // what the install didn't need
  return why;
}

/// A record for `lanes`, complete but for the next hop; nullptr without memory.
TxRecord* Publisher::build_tx(Peer& peer, const TxLanes& lanes, const session::TxInstall& install) {
  TxRecord* record = peer.reserve.record != nullptr ? std::exchange(peer.reserve.record, nullptr)
                                                    : slab_.make<TxRecord>();
  if (record == nullptr) return nullptr;
  JVPN_ASSERT(lanes.first == install.first_lane && lanes.lanes != nullptr,
              "choose() found those that the install names");
  const TxRecord* before = peer.record;
  const bool same_binding = before != nullptr && before->binding_version == install.binding_version;
  record->binding_version = install.binding_version;
  record->owned = install.owned;
  record->hold_session = peer.hold_session;
  record->revision = same_binding ? before->revision + 1 : 0;
  record->lanes = lanes.lanes;
  record->peer_index = install.peer_index;
  record->first_lane = install.first_lane;
  record->lanes_per_worker = static_cast<uint16_t>(std::max(install.lanes / workers_, 1U));
  record->port = install.path.interface;
  const PortInfo& port = ports_[install.path.interface];
  const unsigned overhead = outer_overhead(install.path.remote.address.family);
  const uint16_t fits = static_cast<uint16_t>(port.mtu > overhead ? port.mtu - overhead : 0);
  record->inner_mtu = install.inner_mtu == 0 ? fits : std::min(fits, install.inner_mtu);
  write_tunnel_header({port.mac, install.path.local, install.path.remote}, install.data_mask,
                      *record);
  aead_.expand(install.suite, install.traffic_key, record->traffic_key);
  record->iv = HeaderIv(record->traffic_key);
  return record;
}

void Publisher::extend_rx(ReceiverIndex index, uint64_t deadline_tsc) {
  if (const RxRecord* record = installed(index))
    record->deadline.store(CoarseDeadline(deadline_tsc), std::memory_order_relaxed);
}

void Publisher::extend_tx(PeerId id, uint64_t deadline_tsc) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end() || at->second.record == nullptr) return;
  at->second.record->deadline_tsc.store(deadline_tsc, std::memory_order_relaxed);
}

void Publisher::withdraw_tx(PeerId id, session::Waiting waiting) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return;
  table_.set_waits(id, waiting == session::Waiting::kKept ? at->second.hold_session : 0);
  drop_record(id, at->second);
  forget_if_unused(id);
}

/// Takes the send side away. The lanes stay: the same key may get a record again.
void Publisher::drop_record(PeerId id, Peer& peer) {
  if (peer.record == nullptr) return;
  const TxRecord* hidden = table_.store_tx(id, nullptr);
  JVPN_ASSERT(hidden == peer.record, "nobody else writes the table");
  retire(std::exchange(peer.record, nullptr));
}

bool Publisher::carries(PeerId peer, uint64_t now_tsc) const {
  const TxRecord* record = peer.value < table_.peers() ? table_.tx(peer) : nullptr;
  if (record == nullptr || now_tsc > record->deadline_tsc.load(std::memory_order_relaxed))
    return false;
  return !record->owned || now_tsc <= table_.silent_after();
}

TrafficTotals Publisher::totals(PeerId id) const {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return {};
  const Peer& peer = at->second;
  TrafficTotals sum = peer.retired;
  for (const RxRecord* record : peer.rx) add_rx(sum, count(record->lanes, record->lane_count));
  sum.tx_generation_packets = peer.tx.packets_before();
  sum.tx_generation_bytes = peer.tx.bytes_before();
  for (const TxLanes& each : peer.tx.lanes()) {
    const LaneCounts sent = count(each.lanes, each.count);
    add_tx(sum, sent);
    sum.tx_generation_packets += sent.packets;
    sum.tx_generation_bytes += sent.bytes;
  }
  return sum;
}

const TxRecord* Publisher::seen_tx(PeerId id) const {
  return id.value < table_.peers() ? table_.tx(id) : nullptr;
}

session::PublishedIndices Publisher::seen_rx(PeerId id) const {
  session::PublishedIndices seen;
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return seen;
  for (const RxRecord* installed : at->second.rx) {
    const RxRecord* found = table_.rx(installed->index.value);
    if (found != nullptr && found->peer == id)
      seen.push_back({found->index, found->first_lane, found->lane_count});
  }
  return seen;
}

LaneTotals Publisher::lane_totals(ReceiverIndex index) const {
  const RxRecord* record = installed(index);
  LaneTotals totals;
  if (record == nullptr) return totals;
  for (size_t i = 0; i < record->lane_count; ++i) {
    // Packets first: a lane's worker may move on meanwhile, and what has come was expected.
    const RxLane& lane = record->lanes[i];
    const uint64_t received = lane.packets.load(std::memory_order_relaxed);
    totals.received += received;
    if (received != 0) totals.expected += lane.window.highest() + 1;
    totals.last_rx_tsc =
        std::max(totals.last_rx_tsc, lane.last_tsc.load(std::memory_order_relaxed));
  }
  return totals;
}

void Publisher::retire(const RxRecord* record) {
  Peer& peer = peer_of(record->peer);
  const LaneCounts before = count(record->lanes, record->lane_count);
  add_rx(peer.retired, before);
  reclaimer_.defer([this, record, before, incarnation = peer.incarnation] {
    const auto at = peers_.find(record->peer.value);
    if (at != peers_.end() && at->second.incarnation == incarnation)
      add_rx(at->second.retired, count(record->lanes, record->lane_count), before);
    destroy(record);
  });
}

void Publisher::retire(const TxRecord* record) {
  reclaimer_.defer([this, record] { slab_.destroy(record); });
}

void Publisher::retire(PeerId id, Peer& peer, const TxLanes& old) {
  const LaneCounts before = count(old.lanes, old.count);
  add_tx(peer.retired, before);
  reclaimer_.defer(
      [this, id, before, incarnation = peer.incarnation, lanes = old.lanes, n = old.count] {
        const auto at = peers_.find(id.value);
        if (at != peers_.end() && at->second.incarnation == incarnation)
          add_tx(at->second.retired, count(lanes, n), before);
        slab_.destroy(lanes, n);
      });
}

void Publisher::forget_if_unused(PeerId id) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end() || !at->second.rx.empty() || at->second.record != nullptr) return;
  table_.set_waits(id, 0);
  hold_.forget(id);
  for (const TxLanes& each : at->second.tx.lanes()) retire(id, at->second, each);
  const TxReserve reserve = at->second.reserve;
  peers_.erase(at);
  if (reserve.record != nullptr) peer_of(id).reserve = reserve;  // of the session to come
}

}  // namespace jvpn::publish
