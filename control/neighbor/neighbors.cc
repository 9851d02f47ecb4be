// ask → wait → learn → tell who watches → send what waited.
#include "control/neighbor/neighbors.h"

#include <algorithm>
#include <cstring>

#include "common/assert.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr EtherAddress kBroadcast{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr Millis kFailedPause{5'000};

IpAddress all_nodes() {
  return {Family::kIpv6, {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

bool is_group(const EtherAddress& mac) {
  return mac[0] & 1;
}

}  // namespace

Neighbors::Neighbors(std::span<const PortInfo> ports, publish::Injector& injector, Limits limits)
    : ports_(ports), injector_(injector), limits_(limits) {}

Neighbors::~Neighbors() {
  for (auto& [key, entry] : entries_)
    for (const Waiting& waiting : entry.waiting) rte_pktmbuf_free(waiting.packet);
}

bool Neighbors::on_link(uint16_t port, const IpAddress& address) const {
  return std::ranges::any_of(ports_[port].addresses,
                             [&](const Prefix& own) { return own.contains(address); });
}

/// Our address that asks for `target`: one on its prefix, else any of its family.
std::optional<IpAddress> Neighbors::source_for(uint16_t port, const IpAddress& target) const {
  std::optional<IpAddress> any;
  for (const Prefix& own : ports_[port].addresses) {
    if (own.contains(target)) return own.address;
    if (!any && own.address.family == target.family) any = own.address;
  }
  return any;
}

std::optional<NeighborKey> Neighbors::next_hop(uint16_t port, const IpAddress& destination) const {
  if (port >= ports_.size()) return std::nullopt;
  if (on_link(port, destination)) return NeighborKey{port, destination};
  for (const IpAddress& gateway : ports_[port].gateways)
    if (gateway.family == destination.family) return NeighborKey{port, gateway};
  return std::nullopt;
}

Neighbors::Entry* Neighbors::find(const NeighborKey& key) {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

/// The entry, made and asked for if there was none; nullptr when the table is full. Those that are
/// watched are as many as sessions at most: they find room, whoever fills the table.
Neighbors::Entry* Neighbors::find_or_ask(Millis now, const NeighborKey& key, bool watched) {
  if (Entry* entry = find(key)) return entry;
  const bool full = entries_.size() >= limits_.entries && !watched;
  if (full || key.port >= ports_.size()) {
    ++counters_.table_full;
    return nullptr;
  }
  Entry& entry = entries_[key];
  ask(now, key, entry);
  return &entry;
}

std::optional<EtherAddress> Neighbors::watch(Millis now, const NeighborKey& key) {
  Entry* entry = find_or_ask(now, key, true);
  if (entry == nullptr) return std::nullopt;
  ++entry->watchers;
  return resolved(key);
}

void Neighbors::unwatch(const NeighborKey& key) {
  Entry* entry = find(key);
  JVPN_ASSERT(entry != nullptr && entry->watchers > 0, "watch() came first, and keeps the entry");
  --entry->watchers;
}

std::optional<EtherAddress> Neighbors::resolved(const NeighborKey& key) const {
  const auto at = entries_.find(key);
  if (at == entries_.end() || !at->second.known()) return std::nullopt;
  return at->second.mac;
}

void Neighbors::send_frame(Millis now, const NeighborKey& key, rte_mbuf* frame, uint32_t flow) {
  wait(now, key, {frame, false, flow});
}

void Neighbors::send_inner(Millis now, const NeighborKey& key, rte_mbuf* packet) {
  wait(now, key, {packet, true, 0});
}

void Neighbors::wait(Millis now, const NeighborKey& key, const Waiting& waiting) {
  Entry* entry = find_or_ask(now, key);
  if (entry != nullptr && entry->known()) {
    entry->used = true;
    send_now(key.port, entry->mac, waiting);
    return;
  }
  if (entry == nullptr || entry->waiting.size() >= limits_.packets_per_entry ||
      waiting_ >= limits_.packets) {
    ++counters_.packets_dropped;
    rte_pktmbuf_free(waiting.packet);
    return;
  }
  entry->waiting.push_back(waiting);
  ++waiting_;
}

void Neighbors::send_now(uint16_t port, const EtherAddress& mac, const Waiting& waiting) {
  if (waiting.inner) {
    injector_.route(waiting.packet, waiting.flow);
    return;
  }
  std::memcpy(rte_pktmbuf_mtod(waiting.packet, uint8_t*), mac.data(), mac.size());
  injector_.transmit(port, waiting.packet, waiting.flow);
}

void Neighbors::learn(Millis now, const NeighborKey& key, const EtherAddress& mac) {
  Entry* entry = find(key);
  if (entry == nullptr || is_group(mac)) {
    ++counters_.ignored;
    return;
  }
  const bool news = !entry->known() || entry->mac != mac;
  entry->state = State::kReachable;
  entry->mac = mac;
  entry->attempts = 0;
  entry->due = now + kReachable;
  deadline_ = std::min(deadline_, entry->due);
  if (!news) return;
  if (changed_) changed_(key, mac);
  std::vector<Waiting> waiting;
  waiting.swap(entry->waiting);
  JVPN_ASSERT(waiting_ >= waiting.size(), "waiting_ counts the packets of all entries");
  waiting_ -= waiting.size();
  for (const Waiting& packet : waiting) send_now(key.port, mac, packet);
}

void Neighbors::on_arp(Millis now, uint16_t port, std::span<const uint8_t> bytes) {
  const auto message = parse_arp(bytes);
  if (!message || port >= ports_.size()) {
    ++counters_.ignored;
    return;
  }
  const PortInfo& own = ports_[port];
  if (ports_[port].owns(message->sender)) {
    if (message->sender_mac != own.mac) ++counters_.conflicts;
    return;
  }
  if (on_link(port, message->sender)) learn(now, {port, message->sender}, message->sender_mac);
  if (message->operation != ArpMessage::Operation::kRequest || !ports_[port].owns(message->target))
    return;
  send_arp(port, message->sender_mac,
           {ArpMessage::Operation::kReply, own.mac, message->target, message->sender_mac,
            message->sender});
  ++counters_.answers;
}

void Neighbors::on_nd(Millis now, uint16_t port, const EtherAddress& from,
                      std::span<const uint8_t> bytes) {
  const auto message = parse_nd(bytes);
  if (!message || port >= ports_.size()) {
    ++counters_.ignored;
    return;
  }
  if (message->type == NdMessage::Type::kSolicitation) {
    if (message->link_layer && on_link(port, message->source) &&
        !ports_[port].owns(message->source))
      learn(now, {port, message->source}, *message->link_layer);
    if (ports_[port].owns(message->target)) advertise(port, from, *message);
    return;
  }
  if (ports_[port].owns(message->target)) {
    ++counters_.conflicts;
    return;
  }
  const NeighborKey key{port, message->target};
  const Entry* entry = find(key);
  if (entry == nullptr || (!message->link_layer && !(message->solicited && entry->known()))) {
    ++counters_.ignored;
    return;
  }
  const EtherAddress mac = message->link_layer.value_or(entry->mac);
  // Without the override flag a different address is no news (RFC 4861 §7.2.5).
  if (entry->known() && mac != entry->mac && !message->override) {
    ++counters_.ignored;
    return;
  }
  learn(now, key, mac);
}

void Neighbors::advertise(uint16_t port, const EtherAddress& to, const NdMessage& solicitation) {
  const bool probe = is_unspecified(solicitation.source);
  const IpAddress destination = probe ? all_nodes() : solicitation.source;
  const EtherAddress ethernet =
      probe ? ethernet_group_of(destination) : solicitation.link_layer.value_or(to);
  send_nd(port, ethernet,
          {.type = NdMessage::Type::kAdvertisement,
           .solicited = !probe,
           .override = true,
           .source = solicitation.target,
           .destination = destination,
           .target = solicitation.target,
           .link_layer = ports_[port].mac});
  ++counters_.answers;
}

void Neighbors::announce() {
  for (const PortInfo& port : ports_) {
    for (const Prefix& own : port.addresses) {
      const IpAddress& address = own.address;
      if (address.is_v4()) {
        send_arp(port.number, kBroadcast,
                 {ArpMessage::Operation::kRequest, port.mac, address, {}, address});
      } else {
        send_nd(port.number, ethernet_group_of(all_nodes()),
                {.type = NdMessage::Type::kAdvertisement,
                 .override = true,
                 .source = address,
                 .destination = all_nodes(),
                 .target = address,
                 .link_layer = port.mac});
      }
    }
  }
}

/// One question: to everybody while the address is unknown, and as the last try before failing.
void Neighbors::ask(Millis now, const NeighborKey& key, Entry& entry) {
  JVPN_ASSERT(key.port < ports_.size(), "entries are made for ports that there are");
  JVPN_ASSERT(entry.attempts < kAttempts, "the attempts before have failed the entry");
  ++entry.attempts;
  entry.due = now + kRetry;
  deadline_ = std::min(deadline_, entry.due);
  const auto source = source_for(key.port, key.address);
  if (!source) return;
  ++counters_.questions;
  const EtherAddress& own = ports_[key.port].mac;
  const bool direct = entry.state == State::kProbing && entry.attempts < kAttempts;
  if (key.address.is_v4()) {
    send_arp(key.port, direct ? entry.mac : kBroadcast,
             {ArpMessage::Operation::kRequest, own, *source, {}, key.address});
    return;
  }
  const IpAddress group = solicited_node_group(key.address);
  send_nd(key.port, direct ? entry.mac : ethernet_group_of(group),
          {.type = NdMessage::Type::kSolicitation,
           .source = *source,
           .destination = direct ? key.address : group,
           .target = key.address,
           .link_layer = own});
}

void Neighbors::advance(Millis now) {
  if (now < deadline_) return;
  deadline_ = Millis{UINT64_MAX};
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second.due <= now && !advance_entry(now, at->first, at->second)) {
      at = entries_.erase(at);
      continue;
    }
    JVPN_ASSERT(at->second.due > now, "what stays is due later");
    deadline_ = std::min(deadline_, at->second.due);
    ++at;
  }
}

/// False: the entry is done with.
bool Neighbors::advance_entry(Millis now, const NeighborKey& key, Entry& entry) {
  switch (entry.state) {
    case State::kReachable:
      // Inside neighbours carry published routes that workers use unseen: they are always
      // confirmed.
      if (entry.watchers == 0 && !entry.used && ports_[key.port].role == PortRole::kOutside)
        return false;
      entry.used = false;
      entry.state = State::kProbing;
      break;
    case State::kFailed:
      if (entry.watchers == 0) return false;
      entry.state = State::kIncomplete;
      break;
    case State::kIncomplete:
    case State::kProbing:
      if (entry.attempts < kAttempts) break;
      fail(now, key, entry);
      return entry.watchers > 0;
  }
  ask(now, key, entry);
  return true;
}

void Neighbors::fail(Millis now, const NeighborKey& key, Entry& entry) {
  const bool was_known = entry.known();
  entry.state = State::kFailed;
  entry.attempts = 0;
  entry.due = now + kFailedPause;
  if (was_known && changed_) changed_(key, std::nullopt);
  std::vector<Waiting> waiting;
  waiting.swap(entry.waiting);
  JVPN_ASSERT(waiting_ >= waiting.size(), "waiting_ counts the packets of all entries");
  waiting_ -= waiting.size();
  counters_.packets_dropped += waiting.size();
  for (const Waiting& packet : waiting) {
    if (packet.inner && unreachable_) {
      unreachable_(packet.packet);
    } else {
      rte_pktmbuf_free(packet.packet);
    }
  }
}

void Neighbors::send_arp(uint16_t port, const EtherAddress& destination,
                         const ArpMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector_.allocate(kArpFrameBytes, data);
  if (frame == nullptr) return;
  write_arp_frame(data.first<kArpFrameBytes>(), destination, message);
  injector_.transmit(port, frame);
}

void Neighbors::send_nd(uint16_t port, const EtherAddress& destination, const NdMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector_.allocate(kNdFrameBytes, data);
  if (frame == nullptr) return;
  write_nd_frame(data.first<kNdFrameBytes>(), destination, message);
  injector_.transmit(port, frame);
}

}  // namespace jvpn::neighbor
