// `jvpn show`: the sessions of a running jvpnd or jvpn-client.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

/// Asks the admin socket and prints tables, or its JSON as it is. Gives the exit status.
int run_show(const std::string& socket_path, bool as_json);

/// The tables of a reply. Fields that are missing or of another type are shown as `-`.
std::string render_show(const nlohmann::json& reply, bool with_colours);

}  // namespace jvpn
