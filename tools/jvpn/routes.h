// `jvpn routes`: the prefixes of the sessions that a gateway carries now, for routing daemons.
#pragma once

#include <cstdint>
#include <string>

namespace jvpn {

struct RoutesCommand {
  bool follow = false;        ///< then the changes, until Ctrl-C or until the gateway is gone
  bool retry = false;         ///< waits for the gateway when it is gone, and goes on
  bool release = false;       ///< only takes away what a follower has left in the kernel's table
  uint32_t kernel_table = 0;  ///< filled instead of printing, with `follow`; 0: none
  bool as_json = false;
};

/// Prints a table of the prefixes. With `follow` a line for each change, flushed:
/// `add PREFIX PEER`, `withdraw PREFIX PEER`, `synced COUNT` when all is told that the gateway
/// carries, `lost WHY` when nothing is known of it any more; each prefix is withdrawn before that,
/// and before the command ends. Gives the exit status: 0 also after Ctrl-C.
int run_routes(const std::string& socket_path, const RoutesCommand& command);

}  // namespace jvpn
