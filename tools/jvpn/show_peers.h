// The configured peers of a gateway, with what is known of their sessions, as `wg show` has them.
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"

namespace jvpn {

/// How many peers tables show; `jvpn show dump` and JSON have all.
inline constexpr size_t kShownPeers = 200;

/// Adds `peers` to what "show" answered, with the session of each under `session` and its latest
/// end under `ended`. At most `most`; `peers_left` says that there are more. A client has none.
Result<void> add_peers(nlohmann::json& reply, const std::string& socket_path, size_t most);

/// A paragraph for each, the latest handshake first.
std::string render_peers(const nlohmann::json& reply, bool with_colours);

/// A line of the program, then one of each peer, with tabs between: name, public key, preshared key
/// (`(hidden)` or `(none)`), endpoint, allowed IPs, latest handshake (seconds since 1970 by
/// `now_s`, 0: never), bytes received and sent, keepalive (`off`), as `wg show dump` has them; then
/// state, version, local end of the path, loss in and out, round-trip time in microseconds, reason.
std::string dump_peers(const nlohmann::json& reply, uint64_t now_s);

/// Prints it; gives the exit status.
int run_dump(const std::string& socket_path);

}  // namespace jvpn
