// One question to a running jvpnd or jvpn-client over its admin socket.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"

namespace jvpn {

/// Sends `request` as one line and gives all that comes back until the other side closes. An Error
/// names the socket and how to mend it. Waits at most 5 s for each read and write.
Result<std::string> ask_admin(const std::string& socket_path, std::string_view request);

/// Sends `request` and hands over each line that comes, until `take` gives false or Ctrl-C. An
/// Error also when the other side closes.
Result<void> follow_admin(const std::string& socket_path, std::string_view request,
                          const std::function<bool(std::string_view line)>& take);

/// As ask_admin(), with JSON both ways. The answer is an object; one that says `{"error": "…"}` is
/// an Error, in words that are safe to print.
Result<nlohmann::json> ask_admin_json(const std::string& socket_path,
                                      const nlohmann::json& request);

/// All pages of what "show" answers, as one.
Result<nlohmann::json> ask_show(const std::string& socket_path);

}  // namespace jvpn
