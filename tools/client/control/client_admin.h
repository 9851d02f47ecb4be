// Answers the admin socket's requests: show, jump, reload.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/types.h"
#include "control/engine/engine.h"
#include "control/events/event_log.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/tunnel/tunnel_interface.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What the answers are about; all of it outlives the ClientAdmin.
struct ClientAdminParts {
  engine::SessionEngine& engine;
  ClientHost& host;
  const dataplane::DataPath& data_path;
  tunnel::TunnelInterface& tunnel;
  const std::vector<underlays::Underlay>& underlays;
  const PathFinder& paths;
  events::EventLog& events;
};

/// Names that the answers contain, and where the profile is read from again.
struct ClientIdentity {
  std::string node;
  std::string gateway;
  std::string profile_path;
  Millis started;
};

class ClientAdmin {
 public:
  ClientAdmin(ClientIdentity identity, ClientAdminParts parts);

  nlohmann::json answer(const nlohmann::json& request);
  /// Reads the policy section of the profile anew. When it is refused, the present policy stays and
  /// no session begins until a valid one is loaded.
  nlohmann::json reload();

 private:
  nlohmann::json show();
  nlohmann::json show_paths() const;
  nlohmann::json show_interface() const;
  nlohmann::json jump(const nlohmann::json& request);

  ClientIdentity identity_;
  ClientAdminParts parts_;
};

}  // namespace jvpn::client::control
