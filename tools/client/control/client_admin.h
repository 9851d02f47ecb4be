// Answers the admin socket's requests: show, jump, reload.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/types.h"
#include "control/admin/profile_file.h"
#include "control/admin/reload.h"
#include "control/engine/engine.h"
#include "control/events/event_log.h"
#include "tools/client/control/attendant_keeper.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/fallback_keeper.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/control/session_keeper.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/tunnel/tunnel_interface.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What the answers are about; all of it outlives the ClientAdmin.
struct ClientAdminParts {
  engine::SessionEngine& engine;
  ClientHost& host;
  dataplane::DataPath& data_path;
  tunnel::TunnelInterface& tunnel;
  const std::vector<underlays::Underlay>& underlays;
  const PathFinder& paths;
  events::EventLog& events;
  const SessionKeeper& keeper;
  const FallbackKeeper& fallback;
  const AttendantKeeper* attendant;  ///< nullptr: the profile needs none
};

/// The profile that the program started with, and when.
struct ClientIdentity {
  admin::RunningClient running;
  Millis started;
};

class ClientAdmin {
 public:
  ClientAdmin(ClientIdentity identity, ClientAdminParts parts);

  nlohmann::json answer(const nlohmann::json& request);
  /// Reads the profile anew and takes its policy. When it is refused, the present policy stays and
  /// no session begins until a valid one is loaded.
  nlohmann::json reload();

 private:
  nlohmann::json show();
  nlohmann::json show_paths() const;
  std::optional<std::string> gateway_at(const Endpoint& remote) const;
  const PeerProfile& gateway() const;
  nlohmann::json show_troubles() const;
  void add_gateways(nlohmann::json& sessions) const;
  nlohmann::json show_hold() const;
  nlohmann::json show_interface() const;
  nlohmann::json jump(const nlohmann::json& request);
  nlohmann::json order_jump(const Path& from, const Path& to);
  nlohmann::json jump_outcome(const nlohmann::json& number);

  /// The latest order to jump, until its outcome is known and after.
  struct JumpOrder {
    uint64_t number = 0;  ///< 0: none yet
    Path from;
    Path to;
    uint64_t switches = 0;  ///< committed before
    std::string state;      ///< `pending`, `jumped`, `failed`
    std::string why;        ///< it failed
  };
  void follow_order();
  std::optional<uint64_t> switches() const;

  ClientIdentity identity_;
  admin::ReloadOutcome reloaded_;
  ClientAdminParts parts_;
  JumpOrder order_;
};

}  // namespace jvpn::client::control
