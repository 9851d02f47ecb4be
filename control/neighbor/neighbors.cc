// ask → wait → learn → tell who watches → send what waited.
#include "control/neighbor/neighbors.h"

#include <algorithm>
#include <cstring>

#include "common/assert.h"
#include "common/ip_header.h"
#include "control/neighbor/link_frames.h"

namespace jvpn::neighbor {
namespace {

constexpr Millis kFailedPause{5'000};

bool is_group(const EtherAddress& mac) {
  return mac[0] & 1;
}

}  // namespace

Neighbors::Neighbors(std::span<const PortInfo> ports, publish::Injector& injector, Limits limits)
    : ports_(ports), injector_(injector), limits_(limits) {
  for (const PortInfo& port : ports_) {
    for (const PortNeighbor& each : port.neighbors) {
      Entry& entry = entries_[{port.number, each.address}];
      entry.state = State::kStatic;
      entry.mac = each.mac;
    }
  }
}

Neighbors::~Neighbors() {
  for (auto& [key, entry] : entries_)
    for (const Waiting& waiting : entry.waiting) rte_pktmbuf_free(waiting.packet);
}

bool Neighbors::on_link(uint16_t port, const IpAddress& address) const {
  return std::ranges::any_of(ports_[port].addresses,
                             [&](const Prefix& own) { return own.contains(address); });
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

/// The entry, made and asked for if there was none; nullptr when there is no room. Those that are
/// watched are as many as sessions and routes at most: they find room, whoever fills the table.
Neighbors::Entry* Neighbors::find_or_ask(Millis now, const NeighborKey& key, EntryOrigin origin) {
  if (Entry* entry = find(key)) return entry;
  if (key.port >= ports_.size() || !make_room(key.port, origin)) {
    ++counters_.table_full;
    return nullptr;
  }
  Entry& entry = entries_[key];
  entry.origin = origin;
  entry.number = ++made_;
  quota(key.port, origin).add(entry.number, key.address);
  ask(now, key, entry);
  return &entry;
}

bool Neighbors::make_room(uint16_t port, EntryOrigin origin) {
  const NeighborQuota& taken = quota(port, origin);
  if (origin == EntryOrigin::kWatched || taken.entries() < limits_.entries) return true;
  const std::optional<IpAddress> oldest = taken.oldest_unresolved();
  if (!oldest) return false;
  const auto at = entries_.find({port, *oldest});
  JVPN_ASSERT(at != entries_.end(), "quotas count the entries that there are");
  drop_waiting(at->second, false);
  forget(at);
  ++counters_.evicted;
  return true;
}

void Neighbors::forget(std::map<NeighborKey, Entry>::iterator at) {
  JVPN_ASSERT(at->second.waiting.empty(), "nothing waits for it any more");
  quota(at->first.port, at->second.origin).remove(at->second.number);
  due_.erase({at->second.due, at->first});
  entries_.erase(at);
}

void Neighbors::set_due(const NeighborKey& key, Entry& entry, Millis at) {
  due_.erase({entry.due, key});
  entry.due = at;
  due_.emplace(at, key);
}

/// Counts the entry for another reason than before.
void Neighbors::move(const NeighborKey& key, Entry& entry, EntryOrigin origin) {
  if (entry.state == State::kStatic || entry.origin == origin) return;
  quota(key.port, entry.origin).remove(entry.number);
  entry.origin = origin;
  quota(key.port, origin).add(entry.number, key.address);
  if (entry.known()) quota(key.port, origin).resolved(entry.number);
}

std::optional<EtherAddress> Neighbors::watch(Millis now, const NeighborKey& key) {
  Entry* entry = find_or_ask(now, key, EntryOrigin::kWatched);
  if (entry == nullptr) return std::nullopt;
  ++entry->watchers;
  move(key, *entry, EntryOrigin::kWatched);
  return resolved(key);
}

void Neighbors::unwatch(const NeighborKey& key) {
  Entry* entry = find(key);
  JVPN_ASSERT(entry != nullptr && entry->watchers > 0, "watch() came first, and keeps the entry");
  if (--entry->watchers == 0) move(key, *entry, EntryOrigin::kFrame);
}

std::optional<EtherAddress> Neighbors::resolved(const NeighborKey& key) const {
  const auto at = entries_.find(key);
  if (at == entries_.end() || !at->second.known()) return std::nullopt;
  return at->second.mac;
}

void Neighbors::send_frame(Millis now, const NeighborKey& key, rte_mbuf* frame, uint32_t flow) {
  wait(now, key, {frame, false, flow, std::nullopt});
}

void Neighbors::send_inner(Millis now, const NeighborKey& key, rte_mbuf* packet) {
  const PacketNote& note = note_of(packet);
  wait(now, key, {packet, true, 0, note.from_tunnel ? std::optional(note.peer) : std::nullopt});
}

void Neighbors::wait(Millis now, const NeighborKey& key, const Waiting& waiting) {
  Entry* entry = find_or_ask(now, key, waiting.inner ? EntryOrigin::kInner : EntryOrigin::kFrame);
  if (entry != nullptr && entry->known()) {
    entry->used = true;
    send_now(key.port, entry->mac, waiting);
    return;
  }
  if (entry == nullptr || !room_.enter(entry->waiting.size(), waiting.from)) {
    ++counters_.packets_dropped;
    if (entry != nullptr) ++counters_.waiting_full;
    rte_pktmbuf_free(waiting.packet);
    return;
  }
  entry->waiting.push_back(waiting);
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
  const bool other = entry->known() && entry->mac != mac;
  if (entry->state == State::kStatic) {
    counters_.conflicts += other ? 1 : 0;
    return;
  }
  if (other && !entry->asks_all()) return doubt(now, key, *entry);
  const bool news = !entry->known() || other;
  if (entry->doubted && !other) entry->undoubted_until = now + kDoubtPause;
  counters_.moved += other ? 1 : 0;
  entry->doubted = false;
  entry->state = State::kReachable;
  entry->mac = mac;
  entry->attempts = 0;
  set_due(key, *entry, now + kReachable);
  if (!news) return;
  quota(key.port, entry->origin).resolved(entry->number);
  if (changed_) changed_(key, mac);
  for (const Waiting& packet : std::exchange(entry->waiting, {})) {
    room_.leave(packet.from);
    send_now(key.port, mac, packet);
  }
}

/// Somebody else says to have the address. Its holder is asked, and everybody if it is silent; then
/// whoever answers has it. The claim itself is kept nowhere.
void Neighbors::doubt(Millis now, const NeighborKey& key, Entry& entry) {
  ++counters_.claims;
  if (entry.doubted || now < entry.undoubted_until) return;
  entry.doubted = true;
  if (entry.state == State::kProbing) {  // the holder was asked already
    set_due(key, entry, std::min(entry.due, now + kDoubtRetry));
    return;
  }
  entry.state = State::kProbing;
  ask(now, key, entry);
}

/// One question: to everybody while the address is unknown, and as the last try before failing.
void Neighbors::ask(Millis now, const NeighborKey& key, Entry& entry) {
  JVPN_ASSERT(key.port < ports_.size(), "entries are made for ports that there are");
  JVPN_ASSERT(entry.attempts < kAttempts, "the attempts before have failed the entry");
  ++entry.attempts;
  set_due(key, entry, now + (entry.doubted && entry.attempts < kAttempts ? kDoubtRetry : kRetry));
  const auto source = source_for(ports_[key.port], key.address);
  if (!source) return;
  ++counters_.questions;
  if (entry.state == State::kProbing) ++counters_.again[key.port];
  const EtherAddress& own = ports_[key.port].mac;
  const bool direct = entry.state == State::kProbing && entry.attempts < kAttempts;
  if (key.address.is_v4()) {
    send_arp(injector_, key.port, direct ? entry.mac : kEverybody,
             {ArpMessage::Operation::kRequest, own, *source, {}, key.address});
    return;
  }
  const IpAddress group = solicited_node_group(key.address);
  send_nd(injector_, key.port, direct ? entry.mac : ethernet_group_of(group),
          {.type = NdMessage::Type::kSolicitation,
           .source = *source,
           .destination = direct ? key.address : group,
           .target = key.address,
           .link_layer = own});
}

void Neighbors::advance(Millis now) {
  for (size_t served = 0; served < kAtOnce && next_deadline() <= now; ++served) {
    const auto at = entries_.find(due_.begin()->second);
    JVPN_ASSERT(at != entries_.end(), "what is forgotten isn't due any more");
    if (!advance_entry(now, at->first, at->second)) {
      forget(at);
      continue;
    }
    JVPN_ASSERT(at->second.due > now, "what stays is due later");
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
    case State::kStatic:
      JVPN_ASSERT(false, "it is never due");
  }
  ask(now, key, entry);
  return true;
}

void Neighbors::fail(Millis now, const NeighborKey& key, Entry& entry) {
  const bool was_known = entry.known();
  entry.state = State::kFailed;
  entry.doubted = false;
  entry.attempts = 0;
  set_due(key, entry, now + kFailedPause);
  quota(key.port, entry.origin).failed(entry.number, key.address);
  if (was_known && changed_) changed_(key, std::nullopt);
  drop_waiting(entry, true);
}

/// `tell`: whoever sent an inner packet hears of it.
void Neighbors::drop_waiting(Entry& entry, bool tell) {
  const std::vector<Waiting> waiting = std::exchange(entry.waiting, {});
  counters_.packets_dropped += waiting.size();
  for (const Waiting& packet : waiting) {
    room_.leave(packet.from);
    if (tell && packet.inner && unreachable_) {
      unreachable_(packet.packet);
    } else {
      rte_pktmbuf_free(packet.packet);
    }
  }
}

}  // namespace jvpn::neighbor
