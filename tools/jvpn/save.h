// `jvpn save`, for who comes from `wg-quick save`: a gateway's peers are files, and a running one
// has no other peers than it read from there, so there is nothing to write. What differs, because
// somebody changed the files and didn't say so to the gateway, is named.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

/// How the peers that run differ from those in the files, a line each; both are arrays as the
/// program answers to "peers". Preshared keys aren't compared.
std::vector<std::string> peer_differences(const nlohmann::json& running,
                                          const nlohmann::json& files);

/// Compares and prints. Exit status: 0 they are the same, 1 they differ, kNotRunning: no gateway
/// runs with these files, so they are all that there is; kBadProfile.
int run_save(const std::string& socket_path, bool as_json);

}  // namespace jvpn
