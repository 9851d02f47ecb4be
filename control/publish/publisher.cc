// install → build the record → store it (release) → defer the old one → wiped and freed after the
// grace period.
#include "control/publish/publisher.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/assert.h"
#include "common/ip_header.h"
#include "common/source_signal.h"
#include "common/tunnel_header.h"

namespace jvpn::publish {
namespace {

struct Counted {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t last_tsc = 0;
};

Counted count(const RxLane* lanes, size_t n) {
  Counted sum;
  for (size_t i = 0; i < n; ++i) {
    sum.packets += lanes[i].packets.load(std::memory_order_relaxed);
    sum.bytes += lanes[i].bytes.load(std::memory_order_relaxed);
    sum.last_tsc = std::max(sum.last_tsc, lanes[i].last_tsc.load(std::memory_order_relaxed));
  }
  return sum;
}

Counted count(const TxLane* lanes, size_t n) {
  Counted sum;
  for (size_t i = 0; i < n; ++i) {
    sum.packets += lanes[i].next_sequence.load(std::memory_order_relaxed);
    sum.bytes += lanes[i].bytes.load(std::memory_order_relaxed);
  }
  return sum;
}

size_t bytes_with_lanes(uint16_t lanes) {
  return sizeof(RxRecord) + lanes * sizeof(RxLane);
}
LaneWords* words_of(const RxRecord& record) {
  return reinterpret_cast<LaneWords*>(record.lanes->window.words().first);
}

void add_rx(TrafficTotals& totals, const Counted& now, const Counted& before = {}) {
  JVPN_ASSERT(now.packets >= before.packets && now.bytes >= before.bytes, "lanes only count up");
  totals.rx_packets += now.packets - before.packets;
  totals.rx_bytes += now.bytes - before.bytes;
  totals.last_rx_tsc = std::max(totals.last_rx_tsc, now.last_tsc);
}

void add_tx(TrafficTotals& totals, const Counted& now, const Counted& before = {}) {
  JVPN_ASSERT(now.packets >= before.packets && now.bytes >= before.bytes, "lanes only count up");
  totals.tx_packets += now.packets - before.packets;
  totals.tx_bytes += now.bytes - before.bytes;
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
      aead_(std::move(aead)) {}

Publisher::~Publisher() {
  for (auto& [id, peer] : peers_) {
    for (const RxRecord* record : peer.rx) table_.store_rx(record->index, nullptr);
    if (peer.shown) table_.store_tx(PeerId{id}, nullptr);
  }
  reclaimer_.flush();  // deferred frees point into the slab
  for (auto& [id, peer] : peers_) {
    for (const RxRecord* record : peer.rx) destroy(record);
    slab_.destroy(peer.record);
    for (const TxLanes& each : peer.tx.lanes) slab_.destroy(each.lanes, each.count);
  }
}

Publisher::Peer& Publisher::peer_of(PeerId id) {
  const auto [at, fresh] = peers_.try_emplace(id.value);
  if (fresh) at->second.incarnation = next_incarnation_++;
  return at->second;
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
  for (uint16_t i = 0; i < lanes; ++i) record->lanes[i].keep_window_in(words[i]);
  return record;
}

void Publisher::destroy(const RxRecord* record) {
  slab_.destroy(words_of(*record), record->lane_count);
  slab_.release(const_cast<RxRecord*>(record), bytes_with_lanes(record->lane_count));
}

void Publisher::install_rx(const session::RxInstall& install) {
  if (install.lanes == 0 || install.lanes > kMaxLanes || install.peer.value >= table_.peers()) {
    ++failures_;
    return;
  }
  RxRecord* record = make_rx(install.lanes);
  if (record == nullptr) {
    ++failures_;
    return;
  }
  // The engine frees a slot before it is used again; should it not, nothing leaks.
  if (const RxRecord* before = table_.rx(install.index.value)) retire_rx(before->index);
  record->index = install.index;
  record->peer = install.peer;
  record->first_lane = install.first_lane;
  record->control_key = install.control_key;
  aead_.expand(install.suite, install.traffic_key, record->traffic_key);
  peer_of(install.peer).rx.push_back(record);
  const RxRecord* replaced = table_.store_rx(install.index, record);
  JVPN_ASSERT(replaced == nullptr, "the slot was emptied, and nobody else writes the table");
}

void Publisher::bind_rx(ReceiverIndex index, const Endpoint& remote) {
  const RxRecord* record = table_.rx(index.value);
  if (record == nullptr || record->index != index) return;
  record->source.store(source_tag(remote), std::memory_order_relaxed);
}

void Publisher::retire_rx(ReceiverIndex index) {
  const RxRecord* record = table_.rx(index.value);
  if (record == nullptr || record->index != index) return;
  const RxRecord* hidden = table_.store_rx(index, nullptr);
  JVPN_ASSERT(hidden == record, "nobody else writes the table");
  Peer& peer = peer_of(record->peer);
  const size_t erased = std::erase(peer.rx, record);
  JVPN_ASSERT(erased == 1, "a published record is in its peer's list, once");
  const PeerId id = record->peer;
  retire(record);
  forget_if_unused(id);
}

void Publisher::install_tx(const session::TxInstall& install,
                           const std::optional<EtherAddress>& next_hop) {
  if (install.peer.value >= table_.peers() || install.path.interface >= ports_.size()) {
    ++failures_;
    return;
  }
  Peer& peer = peer_of(install.peer);
  std::vector<TxLanes> given_up;  // until workers can't come by the record that names them
  const TxLanes* lanes = choose_lanes(peer, install, given_up);
  TxRecord* record = lanes != nullptr ? build_tx(peer, *lanes, install) : nullptr;
  if (record == nullptr) {
    ++failures_;
    drop_record(install.peer, peer);
  } else {
    TxRecord* replaced = std::exchange(peer.record, record);
    const bool was_shown = std::exchange(peer.shown, false);
    if (next_hop) {
      publish_tx(install.peer, peer, *next_hop);
    } else if (was_shown) {
      table_.store_tx(install.peer, nullptr);
    }
    if (replaced != nullptr) retire(replaced);
  }
  for (const TxLanes& each : given_up) retire(install.peer, peer, each);
}

/// The lanes that `install` sends on: those there are, or fresh ones. nullptr: refused. Data may go
/// ahead of a binding's commit and then by another one, so lanes are only given up once a binding
/// with higher ones has a higher version.
const Publisher::TxLanes* Publisher::choose_lanes(Peer& peer, const session::TxInstall& install,
                                                  std::vector<TxLanes>& given_up) {
  TxKey& tx = peer.tx;
  const Secret<kAeadKeyBytes> key{std::span<const uint8_t, kAeadKeyBytes>(install.traffic_key)};
  const unsigned wanted = std::max(install.lanes / workers_, 1U) * workers_;
  if (tx.lanes.empty() || tx.suite != install.suite || tx.key != key) {
    given_up = std::move(tx.lanes);
    tx = {.key = key,
          .suite = install.suite,
          .version = install.binding_version,
          .floor = install.first_lane,
          .lanes = {},
          .packets_before = 0};
  }
  if (install.first_lane < tx.floor) return nullptr;
  if (install.binding_version > tx.version) {
    tx.version = install.binding_version;
    tx.floor = install.first_lane;
    const auto low = std::partition(tx.lanes.begin(), tx.lanes.end(),
                                    [&](const TxLanes& each) { return each.first >= tx.floor; });
    given_up.assign(low, tx.lanes.end());
    tx.lanes.erase(low, tx.lanes.end());
    for (const TxLanes& each : given_up) tx.packets_before += count(each.lanes, each.count).packets;
  }
  for (const TxLanes& each : tx.lanes) {
    if (each.first == install.first_lane) return wanted <= each.count ? &each : nullptr;
    const bool below = each.first.value + each.count <= install.first_lane.value;
    const bool above = install.first_lane.value + wanted <= each.first.value;
    if (!below && !above) return nullptr;
  }
  if (install.first_lane.value + wanted > UINT16_MAX) return nullptr;
  TxLane* lanes = slab_.make<TxLane>(wanted);
  if (lanes == nullptr) return nullptr;
  for (unsigned i = 0; i < wanted; ++i) lanes[i].quota = install.packets_per_lane;
  tx.lanes.push_back({lanes, install.first_lane, static_cast<uint16_t>(wanted)});
  return &tx.lanes.back();
}

/// A record for `lanes`, complete but for the next hop's address; nullptr without memory.
TxRecord* Publisher::build_tx(const Peer& peer, const TxLanes& lanes,
                              const session::TxInstall& install) {
  TxRecord* record = slab_.make<TxRecord>();
  if (record == nullptr) return nullptr;
  JVPN_ASSERT(lanes.first == install.first_lane && lanes.lanes != nullptr,
              "choose_lanes() found those that the install names");
  const TxRecord* before = peer.record;
  const bool same_binding = before != nullptr && before->binding_version == install.binding_version;
  record->binding_version = install.binding_version;
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
  write_tunnel_header({port.mac, {}, install.path.local, install.path.remote}, *record);
  aead_.expand(install.suite, install.traffic_key, record->traffic_key);
  return record;
}

/// Stores peer.record, or a new revision of it when workers already see it.
void Publisher::publish_tx(PeerId id, Peer& peer, const EtherAddress& next_hop) {
  JVPN_ASSERT(peer.record != nullptr, "what is shown was built");
  TxRecord* seen = nullptr;
  if (peer.shown) {
    TxRecord* next = slab_.make<TxRecord>();
    if (next == nullptr) {
      ++failures_;
      return;
    }
    *next = *peer.record;
    ++next->revision;
    seen = std::exchange(peer.record, next);
  }
  std::copy(next_hop.begin(), next_hop.end(), peer.record->header);
  table_.store_tx(id, peer.record);
  peer.shown = true;
  if (seen != nullptr) retire(seen);
}

void Publisher::set_next_hop(PeerId id, const std::optional<EtherAddress>& next_hop) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end() || at->second.record == nullptr) return;
  Peer& peer = at->second;
  if (next_hop) {
    const bool same = std::equal(next_hop->begin(), next_hop->end(), peer.record->header);
    if (!peer.shown || !same) publish_tx(id, peer, *next_hop);
    return;
  }
  if (!peer.shown) return;
  // Workers may still read the record: hide it, and keep a copy for when the next hop is back.
  TxRecord* copy = slab_.make<TxRecord>();
  if (copy != nullptr) {
    *copy = *peer.record;
    ++copy->revision;
  } else {
    ++failures_;
  }
  table_.store_tx(id, nullptr);
  peer.shown = false;
  retire(std::exchange(peer.record, copy));
}

void Publisher::withdraw_tx(PeerId id) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return;
  drop_record(id, at->second);
  forget_if_unused(id);
}

/// Takes the send side away. The lanes stay: the same key may get a record again.
void Publisher::drop_record(PeerId id, Peer& peer) {
  JVPN_ASSERT(!peer.shown || peer.record != nullptr, "what workers see is the newest record");
  if (peer.shown) table_.store_tx(id, nullptr);
  peer.shown = false;
  if (peer.record != nullptr) retire(std::exchange(peer.record, nullptr));
}

TrafficTotals Publisher::totals(PeerId id) const {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return {};
  const Peer& peer = at->second;
  TrafficTotals sum = peer.retired;
  for (const RxRecord* record : peer.rx) add_rx(sum, count(record->lanes, record->lane_count));
  sum.tx_generation_packets = peer.tx.packets_before;
  for (const TxLanes& each : peer.tx.lanes) {
    const Counted sent = count(each.lanes, each.count);
    add_tx(sum, sent);
    sum.tx_generation_packets += sent.packets;
  }
  return sum;
}

LaneTotals Publisher::lane_totals(ReceiverIndex index) const {
  const RxRecord* record = table_.rx(index.value);
  LaneTotals totals;
  if (record == nullptr || record->index != index) return totals;
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
  const Counted before = count(record->lanes, record->lane_count);
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
  const Counted before = count(old.lanes, old.count);
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
  JVPN_ASSERT(!at->second.shown, "no worker sees a record that is gone");
  for (const TxLanes& each : at->second.tx.lanes) retire(id, at->second, each);
  peers_.erase(at);
}

}  // namespace jvpn::publish
