#include "control/gateway/gateway_host.h"

#include <cstring>

#include <spdlog/spdlog.h>

#include "common/assert.h"
#include "common/ip_header.h"
#include "control/gateway/outer_header.h"
#include "control/session/system_sources.h"

namespace jvpn::gateway {
namespace {

/// Keeps the datagrams of one remote in order.
uint32_t flow_of(const Endpoint& remote) {
  uint32_t hash = remote.port;
  for (const uint8_t byte : remote.address.bytes) hash = (hash ^ byte) * 16'777'619U;
  return hash >> 8;
}

}  // namespace

GatewayHost::GatewayHost(const GatewayClock& clock, const TurnLimit& limit,
                         std::span<const PortInfo> ports, publish::Injector& injector,
                         neighbor::Neighbors& neighbors, neighbor::PeerProxy& lan,
                         CarriedRoutes& routes, neighbor::HandedOver& handed_over,
                         publish::Publisher& publisher, publish::Reclaimer& reclaimer,
                         events::EventLog& events)
    : clock_(clock),
      limit_(limit),
      ports_(ports),
      injector_(injector),
      neighbors_(neighbors),
      lan_(lan),
      routes_(routes),
      handed_over_(handed_over),
      publisher_(publisher),
      events_(events),
      hops_(ports, neighbors, reclaimer) {
  via_.reserve(publisher.room());
}

void GatewayHost::send(const Path& path, std::span<const uint8_t> datagram) {
  const auto next_hop = neighbors_.next_hop(path.interface, path.remote.address);
  if (!next_hop) {
    ++unroutable_;
    return;
  }
  std::span<uint8_t> data;
  const size_t bytes = neighbor::udp_frame_overhead(path.remote.address.family) + datagram.size();
  rte_mbuf* frame = injector_.allocate(bytes, data);
  if (frame == nullptr) return;
  neighbor::write_udp_frame(data.data(), path, ports_[path.interface].mac, datagram);
  neighbors_.send_frame(clock_.now(), *next_hop, frame, flow_of(path.remote));
}

void GatewayHost::install_rx(const session::RxInstall& install) {
  note(install.peer, publisher_.install_rx(install, clock_.tsc_at(install.until)));
}

/// The control loop has the engine end the session: without a record it carries nothing. False:
/// the install was refused.
bool GatewayHost::note(PeerId peer, publish::Refusal why) {
  if (why == publish::Refusal::kNone) return true;
  refused_.insert(peer);
  const bool memory = why == publish::Refusal::kNoMemory;
  spdlog::error("peer {}: its session ends: {}", peer.value,
                memory ? "no DPDK memory for its record: raise memory.megabytes"
                       : "its record contradicts what the workers have");
  return false;
}

void GatewayHost::install_tx(const session::TxInstall& install) {
  const auto key = neighbors_.next_hop(install.path.interface, install.path.remote.address);
  if (!key) spdlog::warn("no route to {}", to_string(install.path.remote));
  const SharedHop* hop = key ? hops_.join(clock_.now(), *key) : nullptr;
  if (key && hop == nullptr) {
    note(install.peer, publish::Refusal::kNoMemory);
    return;
  }
  const auto why = publisher_.install_tx(install, hop, clock_.tsc_at(install.until));
  handed_over_.back(install.peer);
  carry(install.peer, note(install.peer, why));
  go_by(install.peer, key);
}

void GatewayHost::extend(const session::Extend& extend) {
  const uint64_t deadline_tsc = clock_.tsc_at(extend.until);
  if (extend.index == ReceiverIndex{})
    publisher_.extend_tx(extend.peer, deadline_tsc);
  else
    publisher_.extend_rx(extend.index, deadline_tsc);
}

/// What waited for a path here goes by the other gateway from now on.
void GatewayHost::handed_over(PeerId peer) {
  publisher_.hold().let_go(peer);
  handed_over_.gone(clock_.now(), peer);
}

void GatewayHost::withdraw_tx(PeerId peer, session::Waiting waiting) {
  publisher_.withdraw_tx(peer, waiting);
  carry(peer, false);
  go_by(peer, std::nullopt);
}

/// For whoever has to send to it by us, or not any more.
void GatewayHost::carry(PeerId peer, bool carried) {
  carried ? lan_.installed(peer) : lan_.withdrawn(peer);
  carried ? routes_.installed(peer) : routes_.withdrawn(peer);
}

/// The peer's record has joined `key`, and workers can't come by the one before any more.
void GatewayHost::go_by(PeerId peer, const std::optional<neighbor::NeighborKey>& key) {
  if (const auto before = via_.find(peer.value); before != via_.end()) {
    hops_.leave(before->second);
    via_.erase(before);
  }
  if (key) via_.emplace(peer.value, *key);
}

session::Activity GatewayHost::activity(PeerId peer) {
  const publish::TrafficTotals totals = publisher_.totals(peer);
  session::Activity activity;
  activity.rx_packets = totals.rx_packets;
  activity.rx_bytes = totals.rx_bytes;
  activity.tx_packets = totals.tx_packets;
  activity.tx_bytes = totals.tx_bytes;
  activity.last_rx = clock_.at_tsc(totals.last_rx_tsc);
  activity.tx_generation_packets = totals.tx_generation_packets;
  activity.tx_generation_bytes = totals.tx_generation_bytes;
  return activity;
}

session::RxProgress GatewayHost::rx_progress(ReceiverIndex index) {
  const publish::LaneTotals totals = publisher_.lane_totals(index);
  return {totals.expected, totals.received, clock_.at_tsc(totals.last_rx_tsc)};
}

session::Published GatewayHost::published(PeerId peer) {
  session::Published published;
  published.rx = publisher_.seen_rx(peer);
  published.refused = refused_.contains(peer);
  const TxRecord* const seen = publisher_.seen_tx(peer);
  if (seen == nullptr) return published;
  const TxRecord& record = *seen;
  const auto received = path_of_frame({record.header, record.template_bytes}, record.port);
  if (!received) return published;
  published.tx = {record.binding_version,
                  record.peer_index,
                  record.first_lane,
                  {record.port, received->remote, received->local},  // seen from its other end
                  next_hop_known(peer, record)};
  return published;
}

/// Frames go to where the path's next hop was last heard, or nowhere until it is.
bool GatewayHost::next_hop_known(PeerId peer, const TxRecord& record) const {
  const uint64_t link = record.next_hop->link.load(std::memory_order_relaxed);
  if (link == 0) return true;
  const auto via = via_.find(peer.value);
  const auto mac = via == via_.end() ? std::nullopt : neighbors_.resolved(via->second);
  return mac && std::memcmp(&link, mac->data(), mac->size()) == 0;
}

uint16_t GatewayHost::inner_mtu(const Path& path) {
  if (path.interface >= ports_.size()) return 0;
  const uint16_t link = ports_[path.interface].mtu;
  const uint16_t overhead = outer_overhead(path.remote.address.family);
  return static_cast<uint16_t>(link > overhead ? link - overhead : 0);
}

void GatewayHost::configured(PeerId peer, const wire::ResponsePayload& answer) {
  // A gateway's inner addresses are its own configuration; what a responder offers is not taken.
  spdlog::debug("peer {} answered: inner mtu {}", peer.value, answer.mtu);
}

/// What an operator can mend is said in words, too. Such events are sampled.
void GatewayHost::emit(const session::Event& event) {
  events_.put(event);  // apply() wakes the log
  if (event.kind != session::EventKind::kSecurityEvent || !event.to_path) return;
  const std::string from = to_string(event.to_path->remote);
  switch (event.detail) {
    case Detail::kSuperseded:
      return spdlog::warn(
          "peer {}: another device uses this key: {} took the session over; give each device a key "
          "of its own",
          event.peer.value, from);
    case Detail::kNotConfirmed:
      return spdlog::warn(
          "peer {}: {} was answered again and again and never confirms: its preshared key differs "
          "from ours, or our answers don't reach it",
          event.peer.value, from);
    case Detail::kUnknownKey:
      return spdlog::warn(
          "{}: a handshake with a public key that no peer has; is the client's key in "
          "peers[].public_key?",
          from);
    case Detail::kUnknownField:
      return spdlog::warn(
          "peer {}: a handshake from {} asks for what this version doesn't know; update this "
          "gateway",
          event.peer.value, from);
    default:
      return;
  }
}

void GatewayHost::random(std::span<uint8_t> bytes) {
  session::fill_random(bytes);
}

/// What is handled late is measured by its arrival.
uint64_t GatewayHost::clock_us(Millis now) {
  const uint64_t us = clock_.now_us();
  return us / 1'000 > now.value + 1 ? now.value * 1'000 : us;
}

wire::Timestamp GatewayHost::timestamp() {
  return session::tai64n_now();
}

std::optional<Path> GatewayHost::path_by(const PortInfo& port, const Endpoint& remote,
                                         uint16_t local_port) const {
  std::optional<Path> by_gateway;
  for (const Prefix& own : port.addresses) {
    if (own.address.family != remote.address.family) continue;
    const Path path{port.number, {own.address, local_port}, remote};
    if (own.contains(remote.address)) return path;
    if (!by_gateway && neighbors_.next_hop(port.number, remote.address)) by_gateway = path;
  }
  return by_gateway;
}

}  // namespace jvpn::gateway
