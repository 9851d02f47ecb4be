#include "tools/client/dataplane/data_path.h"

#include <algorithm>

#include "common/ip_header.h"
#include "common/secret.h"
#include "tools/client/tunnel/inner_packet.h"

namespace jvpn::client::dataplane {
namespace {

constexpr size_t kDataMinimum = wire::kTransportOverhead + kIpv4HeaderBytes;

}  // namespace

DataPath::RxRecord::~RxRecord() {
  wipe(&key, sizeof key);
  wipe(raw_key.data(), raw_key.size());
}

Result<std::unique_ptr<DataPath>> DataPath::create(std::vector<Prefix> allowed_ips,
                                                   uint32_t slot_bits) {
  Result<Aead> aead = Aead::create();
  if (!aead) return aead.error();
  return std::unique_ptr<DataPath>(
      new DataPath(std::move(aead).value(), std::move(allowed_ips), slot_bits));
}

DataPath::DataPath(Aead aead, std::vector<Prefix> allowed_ips, uint32_t slot_bits)
    : aead_(std::move(aead)),
      allowed_ips_(std::move(allowed_ips)),
      slot_mask_((uint32_t{1} << slot_bits) - 1),
      rx_(size_t{1} << slot_bits) {}

DataPath::~DataPath() {
  wipe(&tx_key_, sizeof tx_key_);
  wipe(tx_raw_key_.data(), tx_raw_key_.size());
}

void DataPath::install_rx(const session::RxInstall& install) {
  auto& slot = rx_[install.index.value & slot_mask_];
  if (slot && slot->index == install.index && slot->first_lane == install.first_lane &&
      slot->key.suite == install.suite && equal_constant_time(slot->raw_key, install.traffic_key)) {
    slot->lanes.resize(std::max<size_t>(slot->lanes.size(), install.lanes));
    return;
  }
  auto record = std::make_unique<RxRecord>();
  aead_.expand(install.suite, install.traffic_key, record->key);
  record->mask = install.data_mask;
  record->raw_key = install.traffic_key;
  record->index = install.index;
  record->first_lane = install.first_lane;
  record->lanes.resize(install.lanes);
  slot = std::move(record);
}

void DataPath::retire_rx(ReceiverIndex index) {
  auto& slot = rx_[index.value & slot_mask_];
  if (slot && slot->index == index) slot.reset();
}

LaneReport DataPath::stop_data(ReceiverIndex index) {
  LaneReport report{index, true, {}};
  RxRecord* const record = rx_[index.value & slot_mask_].get();
  if (record == nullptr || record->index != index) return report;
  record->stopped = true;
  LaneId lane = record->first_lane;
  for (const auto& window : record->lanes) {
    add_lane(report, lane, window);
    ++lane.value;
  }
  return report;
}

session::RxProgress DataPath::rx_progress(ReceiverIndex index) const {
  const RxRecord* record = rx_[index.value & slot_mask_].get();
  if (record == nullptr || record->index != index || record->packets == 0) return {};
  session::RxProgress progress{0, record->packets, record->last_rx};
  for (const auto& lane : record->lanes) {
    // A lane that nothing came on is one short at most: its highest number is 0, too.
    progress.expected += lane.highest() == 0 ? 0 : lane.highest() + 1;
  }
  return progress;
}

bool DataPath::same_key(const session::TxInstall& install) const {
  return install.suite == tx_key_.suite && equal_constant_time(install.traffic_key, tx_raw_key_);
}

void DataPath::install_tx(const session::TxInstall& install) {
  if (!same_key(install)) {
    if (install.key_generation <= tx_generation_) activity_ = {};  // another session
    aead_.expand(install.suite, install.traffic_key, tx_key_);
    tx_raw_key_ = install.traffic_key;
    tx_lanes_.clear();
    activity_.tx_generation_packets = activity_.tx_generation_bytes = 0;
  }
  tx_generation_ = install.key_generation;
  for (uint16_t i = 0; i < install.lanes; ++i) {
    const LaneId id{static_cast<uint16_t>(install.first_lane.value + i)};
    const bool known = std::any_of(tx_lanes_.begin(), tx_lanes_.end(),
                                   [id](const TxLane& lane) { return lane.id == id; });
    if (!known) tx_lanes_.push_back({id});
  }
  first_lane_ = install.first_lane;
  lane_count_ = install.lanes;
  blocks_per_lane_ = install.blocks_per_lane;
  binding_version_ = install.binding_version;
  peer_index_ = install.peer_index;
  tx_mask_ = install.data_mask;
  inner_mtu_ = install.inner_mtu;
  path_ = install.path;
}

void DataPath::withdraw_tx() {
  path_.reset();
}

session::Published DataPath::published() const {
  session::Published published;
  for (const auto& record : rx_) {
    if (!record) continue;
    const auto lanes = static_cast<uint16_t>(record->lanes.size());
    published.rx.push_back({record->index, record->first_lane, lanes});
  }
  if (path_) published.tx = {binding_version_, peer_index_, first_lane_, *path_};
  return published;
}

bool DataPath::allowed(const IpAddress& address, IpAddress& last_allowed) const {
  if (address == last_allowed) return true;
  const bool found = std::any_of(allowed_ips_.begin(), allowed_ips_.end(),
                                 [&](const Prefix& prefix) { return prefix.contains(address); });
  if (found) last_allowed = address;
  return found;
}

bool DataPath::admit(std::span<const uint8_t> packet, size_t largest) {
  const auto judge = [&]() -> std::optional<Drop> {
    const Family family = tunnel::inner_family(packet);
    if (family == Family::kNone) return Drop::kInnerHeader;
    if (!allowed(tunnel::inner_destination(packet.data(), family), last_destination_))
      return Drop::kNoRoute;
    if (!path_) return Drop::kNoBinding;
    if (inner_mtu_ != 0 && largest > inner_mtu_) return Drop::kTooBig;
    return std::nullopt;
  };
  const std::optional<Drop> drop = judge();
  if (drop) counters_.drop(*drop);
  return !drop;
}

bool DataPath::lacks_path(std::span<const uint8_t> packet) {
  const Family family = tunnel::inner_family(packet);
  return !path_ && family != Family::kNone &&
         allowed(tunnel::inner_destination(packet.data(), family), last_destination_);
}

/// For one more packet.
bool DataPath::has_quota(const TxLane& lane, size_t bytes) const {
  return gcm_blocks(lane.next_sequence + 1, lane.bytes + bytes) <= blocks_per_lane_;
}

// Lanes serve one after the other: one thread needs no more than one at a time.
DataPath::TxLane* DataPath::lane_with_quota(size_t bytes) {
  for (TxLane& lane : tx_lanes_) {
    const int offset = lane.id.value - first_lane_.value;
    if (offset >= 0 && offset < lane_count_ && has_quota(lane, bytes)) return &lane;
  }
  return nullptr;
}

/// Before it is sealed in place.
void DataPath::hold_packet(std::span<const uint8_t> packet, uint64_t counter, Millis now,
                           Source source) {
  if (source == Source::kHold)
    hold_.mark_sent(peer_index_, counter);
  else
    hold_.keep_sent(now, peer_index_, counter, packet);
}

void DataPath::note_hold_drops() {
  const HoldDrops drops = hold_.take_drops();
  counters_.drop(Drop::kHoldFull, drops.full);
  counters_.drop(Drop::kHoldLate, drops.late);
}

void DataPath::seal(SealBatch& batch, Millis now, Source source) {
  const auto packets = batch.packets();
  const bool holds = hold_.on();
  if (holds && source == Source::kTun) hold_.expire(now);
  ops_.resize(packets.size());
  size_t sealed = 0;
  for (TxLane* lane = nullptr; sealed < packets.size() && path_; ++sealed) {
    const auto packet = packets[sealed];
    const size_t inner_bytes = packet.size() - wire::kTransportOverhead;
    if (lane == nullptr || !has_quota(*lane, inner_bytes)) lane = lane_with_quota(inner_bytes);
    if (lane == nullptr) break;
    const uint64_t counter = wire::make_counter(lane->id, lane->next_sequence++);
    const wire::TransportHeader header{
        wire::MessageType::kData, {}, peer_index_.value, counter ^ tx_mask_};
    __builtin_memcpy(packet.data(), &header, sizeof header);
    ops_[sealed] = {&tx_key_, packet.data() + sizeof header, static_cast<uint32_t>(inner_bytes)};
    if (holds) hold_packet(packet.subspan(sizeof header, inner_bytes), counter, now, source);
    lane->bytes += inner_bytes;
    activity_.tx_bytes += inner_bytes;
    activity_.tx_generation_bytes += inner_bytes;
  }
  for (size_t i = sealed; i < packets.size() && source == Source::kHold; ++i) hold_.drop_next();
  if (sealed < packets.size())
    counters_.drop(path_ ? Drop::kKeyExhausted : Drop::kNoBinding, packets.size() - sealed);
  aead_.seal(std::span(ops_).first(sealed));
  batch.truncate(sealed);
  counters_.sealed += sealed;
  activity_.tx_packets += sealed;
  activity_.tx_generation_packets += sealed;
}

std::optional<Drop> DataPath::prepare_open(std::span<uint8_t> message) {
  if (message.size() < kDataMinimum) return Drop::kMessageLength;
  wire::TransportHeader header;
  __builtin_memcpy(&header, message.data(), sizeof header);
  if (header.type != wire::MessageType::kData) return Drop::kMessageType;
  if ((header.reserved[0] | header.reserved[1] | header.reserved[2]) != 0) return Drop::kReserved;
  RxRecord* const record = rx_[header.receiver & slot_mask_].get();
  const bool takes = record != nullptr && record->index.value == header.receiver;
  if (!takes || record->stopped) return Drop::kUnknownIndex;

  const uint64_t counter = header.counter ^ record->mask;
  const int lane = wire::lane_of(counter).value - record->first_lane.value;
  if (lane < 0 || static_cast<size_t>(lane) >= record->lanes.size()) return Drop::kLaneUnknown;
  auto& window = record->lanes[static_cast<size_t>(lane)];
  const uint64_t sequence = wire::sequence_of(counter);
  const ReplayVerdict verdict = window.check(sequence);
  if (verdict == ReplayVerdict::kDuplicate) return Drop::kReplayDuplicate;
  if (verdict == ReplayVerdict::kTooOld) return Drop::kReplayTooOld;

  ops_.push_back({&record->key, message.data() + sizeof header,
                  static_cast<uint32_t>(message.size() - wire::kTransportOverhead)});
  opening_.push_back({record, &window, sequence});
  return std::nullopt;
}

std::optional<Drop> DataPath::accept_opened(const AeadOp& op, const Opening& opening, Millis now) {
  if (!op.ok) return Drop::kBadTag;
  const ReplayVerdict verdict = opening.window->accept(opening.sequence);
  if (verdict == ReplayVerdict::kDuplicate) return Drop::kReplayDuplicate;
  if (verdict == ReplayVerdict::kTooOld) return Drop::kReplayTooOld;
  ++opening.record->packets;
  opening.record->last_rx = now;
  ++activity_.rx_packets;
  activity_.rx_bytes += op.length;
  const std::span<const uint8_t> packet(op.data, op.length);
  const Family family = tunnel::inner_family(packet);
  if (family == Family::kNone) return Drop::kInnerHeader;
  if (!allowed(tunnel::inner_source(packet.data(), family), last_source_))
    return Drop::kInnerSource;
  return std::nullopt;
}

void DataPath::open(std::span<const std::span<uint8_t>> messages, Millis now,
                    std::vector<std::span<uint8_t>>& inner) {
  ops_.clear();
  opening_.clear();
  for (const auto message : messages)
    if (const auto drop = prepare_open(message)) counters_.drop(*drop);
  aead_.open(ops_);
  const uint64_t before = activity_.rx_packets;
  for (size_t i = 0; i < ops_.size(); ++i) {
    if (const auto drop = accept_opened(ops_[i], opening_[i], now)) {
      counters_.drop(*drop);
    } else {
      inner.emplace_back(ops_[i].data, ops_[i].length);
      ++counters_.opened;
    }
  }
  if (activity_.rx_packets != before) activity_.last_rx = now;
}

}  // namespace jvpn::client::dataplane
