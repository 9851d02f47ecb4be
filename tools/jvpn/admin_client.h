// One question to a running jvpnd or jvpn-client over its admin socket.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "tools/jvpn/interrupt.h"

namespace jvpn {

/// For each read and write; kReadingPatience where the program reads its profile before it answers.
inline constexpr std::chrono::seconds kPatience{5};
inline constexpr std::chrono::seconds kReadingPatience{60};
/// Who follows a program through its restarts asks it so often whether it is there.
inline constexpr std::chrono::milliseconds kBetweenTries{500};
/// Lines of events: more than any program keeps.
inline constexpr size_t kAllKept = size_t{1} << 21;

/// Somebody listens there. False as well where there is no such socket.
bool is_listened_at(const std::string& socket_path);
/// Sends `request` as one line and gives all that comes back until the other side closes. An Error
/// names the socket and how to mend it. Waits at most `patience` for each read and write.
Result<std::string> ask_admin(const std::string& socket_path, std::string_view request,
                              std::chrono::seconds patience = kPatience);

/// Sends `request` and hands over each line that comes, until `take` gives false or `interrupt`
/// ends the command. An Error also when the other side closes, or, with `patience`, when nothing
/// came for so long.
Result<void> follow_admin(Interrupt& interrupt, const std::string& socket_path,
                          std::string_view request,
                          const std::function<bool(std::string_view line)>& take,
                          std::optional<std::chrono::milliseconds> patience = std::nullopt);

/// As ask_admin(), with JSON both ways. The answer is an object; one that says `{"error": "…"}` is
/// an Error, in words that are safe to print.
Result<nlohmann::json> ask_admin_json(const std::string& socket_path, const nlohmann::json& request,
                                      std::chrono::seconds patience = kPatience);

/// All pages of what "show" answers, as one.
Result<nlohmann::json> ask_show(const std::string& socket_path);

}  // namespace jvpn
