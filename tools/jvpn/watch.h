// `jvpn watch`: the sessions of a running jvpnd or jvpn-client, again and again.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

struct WatchCommand {
  std::chrono::milliseconds interval{1'000};
  uint64_t count = 0;    ///< 0: until Ctrl-C
  bool as_json = false;  ///< the program's answers, one a line
};

/// On a terminal redraws in place and leaves the screen as it was; elsewhere prints one table after
/// the other. Gives the exit status: 0 also after Ctrl-C.
int run_watch(const std::string& socket_path, const WatchCommand& command);

/// The table of an answer to `show`; rates are since the answer `before`, which may be null. What
/// is missing is shown as `-`.
std::string render_watch(const nlohmann::json& reply, const nlohmann::json& before,
                         bool with_colours);

}  // namespace jvpn
