// `jvpn jump`: a planned jump of a running jvpn-client to another underlay.
#pragma once

#include <string>

namespace jvpn {

/// Asks the client and prints where it jumps, or the client's JSON. Gives the exit status: 0 says
/// that the jump was taken up, `jvpn show` and the events tell how it ended.
int run_jump(const std::string& socket_path, const std::string& underlay, bool as_json);

}  // namespace jvpn
