#include "control/gateway/uplinks.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "common/assert.h"

namespace jvpn::gateway {
namespace {

constexpr Millis kLookEvery{5};
// What one turn may do, so that it stays below a millisecond.
constexpr uint32_t kPeersAtOnce = 1'024;
constexpr uint32_t kAnnouncedAtOnce = 32;

}  // namespace

Uplinks::Uplinks(const DataplaneView& view, const GatewayHost& host, const PeerBook& peers,
                 uint16_t listen_port)
    : view_(view),
      host_(host),
      peers_(peers),
      listen_port_(listen_port),
      up_(view.ports.size(), true),
      dialled_(peers.size(), false) {}

void Uplinks::poll(Millis now, engine::SessionEngine& engine) {
  if (announcing_) return announce_paths(now, engine);
  if (now < next_look_) return;
  next_look_ = now + kLookEvery;
  bool changed = !started_;
  started_ = true;
  for (const PortInfo& port : view_.ports) {
    JVPN_ASSERT(port.number < up_.size(), "ports are numbered from 0");
    const bool up = view_.link_up(port.number);
    if (port.role != PortRole::kOutside || up == up_[port.number]) continue;
    spdlog::warn("port {}: link {}", port.name, up ? "up" : "down");
    up_[port.number] = up;
    changed = true;
    if (!up) lost_.push_back(port.number);
  }
  if (!changed) return;
  announcing_ = 0;
  announce_paths(now, engine);
}

/// A slice of the peers; the others have theirs in later turns. Then lost links are told: who must
/// jump has to know where to.
void Uplinks::announce_paths(Millis now, engine::SessionEngine& engine) {
  uint32_t announced = 0;
  for (uint32_t looked = 0; *announcing_ < peers_.size(); ++looked) {
    if (looked == kPeersAtOnce || announced == kAnnouncedAtOnce) return;
    const PeerId id{(*announcing_)++};
    const PeerProfile* peer = peers_.find(id);
    if (peer == nullptr || peer->disabled || peer->endpoints.empty()) continue;
    announce_paths_to(now, id, engine);
    ++announced;
    if (host_.slice_over()) return;
  }
  announcing_.reset();
  for (const uint16_t port : std::exchange(lost_, {})) engine.interface_lost(now, port);
}

void Uplinks::announce_paths_to(Millis now, PeerId id, engine::SessionEngine& engine) {
  const PeerProfile& peer = *peers_.find(id);
  const std::vector<Path> paths = paths_to(peer);
  engine.set_candidates(now, id, paths);
  if (paths.empty()) {
    spdlog::warn("peers.{}.endpoints: no outside port has a link, an address and a route to {}",
                 peer.name, to_string(peer.endpoints.front()));
  } else if (!dialled_[id.value]) {
    dialled_[id.value] = true;
    engine.dial_when_ended(now, id, paths.front());
  }
}

void Uplinks::peer_changed(Millis now, PeerId id, engine::SessionEngine& engine) {
  if (dialled_.size() < peers_.size()) dialled_.resize(peers_.size(), false);
  const PeerProfile* peer = peers_.find(id);
  JVPN_ASSERT(peer != nullptr, "only a configured peer changes");
  if (!peer->endpoints.empty()) {
    announce_paths_to(now, id, engine);
    return engine.follow_candidates(now, id);
  }
  if (!dialled_[id.value]) return;
  dialled_[id.value] = false;
  engine.stop_dialling(id);
  engine.set_candidates(now, id, {});
}

void Uplinks::peer_removed(PeerId id) {
  if (id.value < dialled_.size()) dialled_[id.value] = false;
}

/// The first endpoint over every port, then the next endpoint; gateway by gateway.
std::vector<Path> Uplinks::paths_to(const PeerProfile& peer) const {
  std::vector<Path> paths;
  for (const Endpoint& endpoint : all_endpoints(peer)) {
    for (const PortInfo& port : view_.ports) {
      if (port.role != PortRole::kOutside || !up_[port.number]) continue;
      const auto path = host_.path_by(port, endpoint, listen_port_);
      if (path) paths.push_back(*path);
    }
  }
  return paths;
}

}  // namespace jvpn::gateway
