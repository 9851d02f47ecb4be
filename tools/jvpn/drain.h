// `jvpn drain`: a gateway hands its sessions over to the others of its cluster, to be stopped.
#pragma once

#include <chrono>
#include <string>

namespace jvpn {

struct DrainCommand {
  bool undo = false;                  ///< sessions are taken again
  bool as_json = false;               ///< the program's latest answer
  std::chrono::milliseconds wait{0};  ///< for the sessions to leave; 0: until Ctrl-C
};

/// Waits until no session is left; on a terminal it shows how many are. Gives the exit status: 0
/// when none is left, or, with `undo`, the gateway takes sessions again; 1 else. Draining goes on
/// when the command ends.
int run_drain(const std::string& socket_path, const DrainCommand& command);

}  // namespace jvpn
