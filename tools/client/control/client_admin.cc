#include "tools/client/control/client_admin.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/drop.h"
#include "control/admin/event_admin.h"
#include "control/admin/policy_reload.h"
#include "control/admin/profile_file.h"
#include "control/admin/show_sessions.h"
#include "control/session/system_sources.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/control/gateway_peer.h"
#include "tools/client/underlays/candidates.h"

namespace jvpn::client::control {

ClientAdmin::ClientAdmin(ClientIdentity identity, ClientAdminParts parts)
    : identity_(std::move(identity)), parts_(parts) {}

nlohmann::json ClientAdmin::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  if (command != request.end() && *command == "show") return show();
  if (command != request.end() && *command == "jump") return jump(request);
  if (command != request.end() && *command == "reload") return reload();
  return {{"error", "unknown command; jvpn-client answers: show, jump, reload"}};
}

nlohmann::json ClientAdmin::reload() {
  const Result<Policy> policy = admin::load_client_policy(identity_.profile_path);
  if (policy)
    spdlog::info("policy {} loaded", policy->version);
  else
    spdlog::error("reload refused, no new session until a valid policy is loaded:\n{}",
                  policy.error().message);
  return admin::apply_reload(parts_.engine, policy, session::boottime_now());
}

// A planned jump: the old path carries everything until the new one is committed.
nlohmann::json ClientAdmin::jump(const nlohmann::json& request) {
  const auto name = request.find("underlay");
  if (name == request.end() || !name->is_string())
    return {{"error", "jump: expected an underlay's name in \"underlay\""}};
  const auto& all = parts_.underlays;
  const auto underlay =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name() == *name; });
  if (underlay == all.end()) {
    std::string names;
    for (const auto& one : all) names += (names.empty() ? "" : ", ") + one.name();
    return {{"error", "jump: expected one of the underlays " + names}};
  }
  const std::optional<Path> active = parts_.data_path.path();
  const auto target = underlays::jump_target(parts_.paths.candidates(), underlay->number(), active);
  if (!target) return {{"error", "jump: " + target.error().message}};
  parts_.engine.jump(session::boottime_now(), kGateway, *target);
  return {{"jump", {{"from", to_string(*active)}, {"to", to_string(*target)}}}};
}

nlohmann::json ClientAdmin::show_paths() const {
  nlohmann::json paths = nlohmann::json::array();
  for (const underlays::Candidate& candidate : parts_.paths.candidates()) {
    const std::string& name = parts_.underlays[candidate.underlay].name();
    const std::string prefix = "underlay " + name + ": ";
    nlohmann::json path{{"underlay", name},
                        {"remote", to_string(candidate.remote)},
                        {"state", underlays::state_of(candidate, parts_.data_path.path())}};
    if (candidate.path)
      path["local"] = to_string(candidate.path->local);
    else
      path["why"] = candidate.why.substr(candidate.why.starts_with(prefix) ? prefix.size() : 0);
    paths.push_back(std::move(path));
  }
  return paths;
}

nlohmann::json ClientAdmin::show_interface() const {
  nlohmann::json addresses = nlohmann::json::array();
  for (const Prefix& address : parts_.tunnel.addresses()) addresses.push_back(to_string(address));
  return {{"name", parts_.tunnel.tun().name()},
          {"mtu", parts_.tunnel.mtu()},
          {"addresses", std::move(addresses)},
          {"refused", parts_.tunnel.tun().refused()}};
}

nlohmann::json ClientAdmin::show() {
  const Millis now = session::boottime_now();
  const auto name = [this](PeerId) { return identity_.gateway; };
  nlohmann::json out = admin::show_header(identity_.node, "client", now - identity_.started,
                                          parts_.engine.policy().version);
  out["denies_new_sessions"] = parts_.engine.denies_new_sessions();
  out["sessions"] = admin::show_sessions(parts_.engine, parts_.host, name, now);
  out["terminated"] = admin::show_terminated(parts_.engine, name, now);
  out["paths"] = show_paths();
  out["control"] = admin::show_counters(parts_.engine.counters());
  out["events"] = admin::show_events(parts_.events.status());
  nlohmann::json& drops = out["drops"] = nlohmann::json::object();
  for (size_t i = 0; i < kDropCount; ++i)
    drops[kDropInfo[i].name] = parts_.data_path.counters().drops[i];
  out["interface"] = show_interface();
  return out;
}

}  // namespace jvpn::client::control
