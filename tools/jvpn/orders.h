// `jvpn reload` and `jvpn terminate`: what an operator tells a running program to do.
#pragma once

#include <string>

namespace jvpn {

// Both print what was done, or the program's JSON, and give the exit status.

/// Reads the program's profile again. A refused one changes nothing: its findings go to standard
/// error, one a line, and the status is 1. kNeedsRestart: it holds, but for the keys named there.
int run_reload(const std::string& socket_path, bool as_json);
/// Ends the session with a peer.
int run_terminate(const std::string& socket_path, const std::string& peer, bool as_json);

}  // namespace jvpn
