// `jvpn show`: the sessions of a running jvpnd or jvpn-client.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

/// Asks the admin socket and prints tables, or its JSON as it is. Gives the exit status.
int run_show(const std::string& socket_path, bool as_json);

/// The tables of a reply. Fields that are missing or of another type are shown as `-`.
std::string render_show(const nlohmann::json& reply, bool with_colours);

// Its parts, each empty when the reply has nothing of it; but for the first they begin with an
// empty line.
std::string render_heading(const nlohmann::json& reply);
/// A client's gateways, when it knows several.
std::string render_gateways(const nlohmann::json& reply, bool with_colours);
/// What a client has made of its host: the tunnel's device, kill switch, name servers, what it
/// holds for a jump, and what is in the way of all that.
std::string render_host(const nlohmann::json& reply, bool with_colours);
/// A client's paths.
std::string render_paths(const nlohmann::json& reply, bool with_colours);
/// What the latest reload left undone: a refused profile in red, keys that wait for a restart in
/// yellow.
std::string render_reload(const nlohmann::json& reply, bool with_colours);
/// That keys are logged, and where: in red.
std::string render_key_log(const nlohmann::json& reply, bool with_colours);
/// That the gateway drains.
std::string render_drain(const nlohmann::json& reply, bool with_colours);
/// What keeps a gateway's sessions, and what it proves.
std::string render_ownership(const nlohmann::json& reply, bool with_colours);
/// The event log's sinks, when one of them isn't healthy.
std::string render_event_health(const nlohmann::json& reply, bool with_colours);

}  // namespace jvpn
