// `jvpn drops`: why packets were dropped, how many, and what to do about it.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

struct DropsCommand {
  bool explain = false;              ///< what to do about each; asks no program
  std::vector<std::string> names{};  ///< of those to explain; none: all
  bool as_json = false;
};

/// What a running gateway or client has dropped, from the answer to "show": the most first, each
/// with its meaning.
std::string render_drops(const nlohmann::json& reply);

/// Prints it, or explains names; gives the exit status.
int run_drops(const std::string& socket_path, const DropsCommand& command);

}  // namespace jvpn
