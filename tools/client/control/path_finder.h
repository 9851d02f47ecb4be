// Follows what the host can reach: the kernel announces a change, every endpoint is looked up over
// every underlay, and the engine gets the paths that are there. A path that is in use and gone is
// left at once.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "common/result.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/socket_watch.h"
#include "tools/client/underlays/candidates.h"
#include "tools/client/underlays/link_watch.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What the finder works on; all of it outlives the finder.
struct PathFinderParts {
  engine::SessionEngine& engine;
  ClientHost& host;
  const dataplane::DataPath& data_path;
  std::vector<underlays::Underlay>& underlays;
  SocketWatch& sockets;
};

class PathFinder {
 public:
  /// `links`: a subscription for the devices of all underlays. `endpoints`: by UDP;
  /// `tcp_endpoints`: by TCP, one at least when there are underlays that go by it. These come last
  /// among the underlays, and their paths among the candidates.
  PathFinder(std::unique_ptr<underlays::LinkWatch> links, std::vector<GatewayEndpoint> endpoints,
             std::vector<Endpoint> tcp_endpoints, PathFinderParts parts);

  /// Readable when links, addresses or routes have changed; then take() it.
  int descriptor() const { return links_->fd(); }
  /// Takes the kernel's announcements. True: one concerned an underlay, so look() is due now.
  bool take(Millis now);
  /// When to look() again: some changes come unannounced shortly after one that was announced.
  Millis due() const { return due_; }
  /// The gateway has these endpoints from now on; look() is due.
  void set_endpoints(std::vector<GatewayEndpoint> endpoints);
  /// Looks up all paths and tells the engine those that are there.
  void look(Millis now);

  /// Every endpoint over every underlay as the latest look() found it, in profile order.
  std::span<const underlays::Candidate> candidates() const { return candidates_; }

 private:
  void log_changes(std::span<const underlays::Candidate> found) const;
  void leave_lost_path(Millis now);
  GatewayEndpoint tcp_remote(size_t underlay) const;

  std::unique_ptr<underlays::LinkWatch> links_;
  std::vector<GatewayEndpoint> endpoints_;
  std::vector<Endpoint> tcp_endpoints_;
  PathFinderParts parts_;
  std::vector<underlays::Candidate> candidates_;
  Millis due_ = kNever;
  bool anew_ = false;  ///< the engine hasn't been given the paths to the present endpoints
};

}  // namespace jvpn::client::control
