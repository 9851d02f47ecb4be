#include "tools/client/control/path_finder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {
namespace {

constexpr Millis kLinksSettle{100};

}  // namespace

PathFinder::PathFinder(std::unique_ptr<underlays::LinkWatch> links,
                       std::vector<GatewayEndpoint> endpoints, std::vector<Endpoint> tcp_endpoints,
                       PathFinderParts parts)
    : links_(std::move(links)),
      endpoints_(std::move(endpoints)),
      tcp_endpoints_(std::move(tcp_endpoints)),
      parts_(parts) {}

bool PathFinder::take(Millis now) {
  if (!links_->take()) return false;
  due_ = now + kLinksSettle;
  return true;
}

void PathFinder::set_endpoints(std::vector<GatewayEndpoint> endpoints) {
  endpoints_ = std::move(endpoints);
  candidates_.clear();
  anew_ = true;
}

void PathFinder::look(Millis now) {
  if (due_ <= now) due_ = kNever;
  const std::vector<Path> before = underlays::reachable(candidates_);
  const auto find = [this](size_t n, const Endpoint& remote) {
    return parts_.underlays[n].path_to(remote);
  };
  const size_t by_udp = static_cast<size_t>(
      std::ranges::count_if(parts_.underlays, [](const auto& one) { return !one.tcp(); }));
  std::vector<underlays::Candidate> found = underlays::find_candidates(by_udp, endpoints_, find);
  for (size_t n = by_udp; n < parts_.underlays.size(); ++n)
    found.push_back(underlays::find_candidate(n, tcp_remote(n), find));
  log_changes(found);
  candidates_ = std::move(found);
  for (underlays::Underlay& underlay : parts_.underlays) parts_.sockets.watch(underlay);
  const std::vector<Path> paths = underlays::reachable(candidates_);
  if (paths != before || anew_) {
    anew_ = false;
    parts_.engine.set_candidates(now, kGateway, paths);
    parts_.host.set_candidates(paths);
  }
  parts_.engine.mtu_changed(now, kGateway);  // of a device, perhaps
  parts_.host.refresh_mtu();
  leave_lost_path(now);
}

/// The endpoint that the underlay's connection is to, or would be.
GatewayEndpoint PathFinder::tcp_remote(size_t underlay) const {
  const auto& remote = parts_.underlays[underlay].tcp()->remote();
  return {remote.value_or(tcp_endpoints_.front()), GatewayNumber{}};
}

void PathFinder::log_changes(std::span<const underlays::Candidate> found) const {
  if (candidates_.size() != found.size()) return;  // of other endpoints
  for (size_t i = 0; i < candidates_.size(); ++i) {
    // Of a connection its keeper says what happens to it.
    if (parts_.underlays[found[i].underlay].tcp() != nullptr) continue;
    if (candidates_[i].path && !found[i].path) spdlog::warn("{}", found[i].why);
    if (!candidates_[i].path && found[i].path)
      spdlog::info("underlay {} reaches {}", parts_.underlays[found[i].underlay].name(),
                   to_string(found[i].remote));
  }
}

void PathFinder::leave_lost_path(Millis now) {
  const std::optional<Path> active = parts_.data_path.path();  // a copy: the engine may change it
  if (!active) return;
  const auto usable = parts_.underlays[active->interface].usable(*active);
  if (usable) return;
  spdlog::warn("lost {}: {}", to_string(*active), usable.error().message);
  // Clear the candidate, so that it counts as found again when it is.
  for (underlays::Candidate& candidate : candidates_)
    if (candidate.path == active) candidate.path.reset();
  parts_.engine.path_lost(now, kGateway, *active);
}

}  // namespace jvpn::client::control
