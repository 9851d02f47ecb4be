#include "control/neighbor/peer_proxy.h"

#include <algorithm>
#include <cstring>

#include "common/assert.h"
#include "control/neighbor/link_frames.h"

namespace jvpn::neighbor {
namespace {

/// Addresses that hosts have for themselves or for groups. A peer with a default route has none of
/// them: a host that probes for its link-local address must not be told that it is taken.
bool stays_on_link(const IpAddress& address) {
  const auto& bytes = address.bytes;
  if (address.is_v4())
    return bytes[0] == 0 || bytes[0] == 127 || bytes[0] >= 224 ||
           (bytes[0] == 169 && bytes[1] == 254);
  const bool link_local = bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80;
  const bool zeros = std::all_of(bytes.begin(), bytes.end() - 1, [](uint8_t b) { return b == 0; });
  return link_local || is_multicast(address) || (zeros && bytes.back() <= 1);
}

Target route_of(const RouteTable& routes, const IpAddress& address) {
  if (address.is_v6()) return routes.lookup_v6(address.bytes.data());
  uint32_t be = 0;
  std::memcpy(&be, address.bytes.data(), sizeof be);
  return routes.lookup_v4(be);
}

}  // namespace

PeerProxy::PeerProxy(std::span<const PortInfo> ports, publish::Injector& injector,
                     const RouteTable& routes, const Peers& peers, size_t room)
    : ports_(ports), injector_(injector), routes_(routes), peers_(peers) {
  for (const PortInfo& port : ports_)
    if (port.answers_for_peers) answering_.push_back(port.number);
  if (answering_.empty()) return;
  installed_.resize(room);
  places_.reserve(room);
}

void PeerProxy::installed(PeerId peer) {
  if (answering_.empty()) return;
  JVPN_ASSERT(peer.value < installed_.size(), "ids are below the room");
  if (installed_[peer.value]) return;
  installed_[peer.value] = true;
  enqueue(peer);
}

void PeerProxy::withdrawn(PeerId peer) {
  if (answering_.empty()) return;
  JVPN_ASSERT(peer.value < installed_.size(), "ids are below the room");
  installed_[peer.value] = false;
  forget(peer);
}

void PeerProxy::routed(PeerId peer) {
  if (answering_.empty() || !installed_[peer.value]) return;
  forget(peer);
  enqueue(peer);
}

void PeerProxy::enqueue(PeerId peer) {
  const Place place{.repeated = false, .due = Millis{0}, .number = ++made_};
  queue_.emplace(place, Announcement{.peer = peer});
  places_[peer.value] = place;
}

/// A gateway that has handed the session over asks for it, for as long as hosts send there: they
/// learn where it is before those that nobody looks for.
void PeerProxy::urge(PeerId peer) {
  const auto at = places_.find(peer.value);
  if (at == places_.end() || at->second.repeated || at->second.number < kInTurn) return;
  const Place place = at->second;
  move(place, {place.repeated, place.due, ++urged_});
}

void PeerProxy::move(Place from, Place to) {
  auto node = queue_.extract(from);
  JVPN_ASSERT(!node.empty(), "it stands where it was put");
  node.key() = to;
  places_[node.mapped().peer.value] = to;
  queue_.insert(std::move(node));
}

void PeerProxy::forget(PeerId peer) {
  const auto at = places_.find(peer.value);
  if (at == places_.end()) return;
  queue_.erase(at->second);
  places_.erase(at);
}

std::optional<PeerId> PeerProxy::peer_of(uint16_t port, const IpAddress& address) const {
  if (port >= ports_.size() || !ports_[port].answers_for_peers || stays_on_link(address))
    return std::nullopt;
  if (!source_for(ports_[port], address)) return std::nullopt;
  if (std::ranges::any_of(ports_, [&](const PortInfo& own) { return own.owns(address); }))
    return std::nullopt;
  const Target target = route_of(routes_, address);
  if (target.kind() != Target::Kind::kPeer) return std::nullopt;
  return PeerId{target.number()};
}

bool PeerProxy::claimed(uint16_t port, const IpAddress& address) {
  const auto peer = peer_of(port, address);
  if (!peer) return false;
  counters_.claims += peers_.carries(*peer) ? 1 : 0;
  return true;
}

/// An announcement asks for nothing, though it is a request.
void PeerProxy::answer(uint16_t port, const ArpMessage& request) {
  const auto peer = peer_of(port, request.target);
  if (!peer || request.sender == request.target || !peers_.carries(*peer)) return;
  urge(*peer);
  const bool sent = send_arp(injector_, port, request.sender_mac,
                             {ArpMessage::Operation::kReply, ports_[port].mac, request.target,
                              request.sender_mac, request.sender});
  counters_.answers += sent ? 1 : 0;
}

void PeerProxy::answer(uint16_t port, const EtherAddress& from, const NdMessage& solicitation) {
  const auto peer = peer_of(port, solicitation.target);
  if (!peer || !peers_.carries(*peer)) return;
  urge(*peer);
  const bool sent = send_advertisement(injector_, ports_[port], from, solicitation,
                                       *source_for(ports_[port], solicitation.target), false);
  counters_.answers += sent ? 1 : 0;
}

void PeerProxy::advance(Millis now) {
  if (now < next_at_) return;
  for (size_t looked = 0; looked < kAtOnce && !queue_.empty(); ++looked) {
    const Place place = queue_.begin()->first;
    Announcement& announcement = queue_.begin()->second;
    if (place.due > now) return;
    if (!peers_.carries(announcement.peer)) {  // silent for want of proof: it may be ours again
      move(place, {place.repeated, now + kRepeat, place.number});
      continue;
    }
    const auto allowed = peers_.allowed(announcement.peer);
    if (announcement.next >= allowed.size() * answering_.size()) {
      end_round(now, place, announcement);
      continue;
    }
    const Look look = announce_next(announcement, allowed);
    if (look == Look::kNoRoom) return;
    ++announcement.next;
    if (look == Look::kNothing) continue;
    announcement.sent = true;
    ++counters_.announcements;
    next_at_ = now + kSpacing;
    return;
  }
}

void PeerProxy::end_round(Millis now, const Place& place, Announcement& announcement) {
  if (place.repeated || !announcement.sent) return forget(announcement.peer);
  announcement.next = 0;
  move(place, {.repeated = true, .due = now + kRepeat, .number = place.number});
}

/// Only what leads to the peer is announced: what is inside, too, stays there.
PeerProxy::Look PeerProxy::announce_next(const Announcement& announcement,
                                         std::span<const Prefix> allowed) {
  const Prefix& prefix = allowed[announcement.next / answering_.size()];
  const PortInfo& port = ports_[answering_[announcement.next % answering_.size()]];
  if (!prefix.is_host() || peer_of(port.number, prefix.address) != announcement.peer)
    return Look::kNothing;
  const bool sent =
      announce_address(injector_, port, prefix.address, *source_for(port, prefix.address));
  return sent ? Look::kSent : Look::kNoRoom;
}

}  // namespace jvpn::neighbor
