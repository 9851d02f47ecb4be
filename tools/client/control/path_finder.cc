#include "tools/client/control/path_finder.h"

#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {
namespace {

constexpr Millis kLinksSettle{100};

}  // namespace

PathFinder::PathFinder(std::unique_ptr<underlays::LinkWatch> links,
                       std::vector<GatewayEndpoint> endpoints, PathFinderParts parts)
    : links_(std::move(links)), endpoints_(std::move(endpoints)), parts_(parts) {}

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
  std::vector<underlays::Candidate> found = underlays::find_candidates(
      parts_.underlays.size(), endpoints_,
      [this](size_t n, const Endpoint& remote) { return parts_.underlays[n].path_to(remote); });
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

void PathFinder::log_changes(std::span<const underlays::Candidate> found) const {
  if (candidates_.size() != found.size()) return;  // of other endpoints
  for (size_t i = 0; i < candidates_.size(); ++i) {
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
