// `jvpn trace`: what a gateway's workers do with the next packets of one session.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace jvpn {

struct TraceCommand {
  std::string session;  ///< the first digits of its id
  uint64_t count = 20;  ///< packets
  std::chrono::seconds time{10};
  bool as_json = false;
};

/// A line for a packet: when, its way through the stages, and why it ended if it did.
std::string render_traced(const nlohmann::json& packet);

/// Prints each packet as it comes, until there were so many, or the time is over, or Ctrl-C. Exit
/// status 0: packets came; 1: none came, or there is no such session, or no answer.
int run_trace(const std::string& socket_path, const TraceCommand& command);

}  // namespace jvpn
