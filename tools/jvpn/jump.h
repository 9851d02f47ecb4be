// `jvpn jump`: a planned jump of a running jvpn-client to another underlay.
#pragma once

#include <string>

namespace jvpn {

/// Orders a planned jump, waits for its outcome (10 s at most) and prints it, or the client's last
/// answer as JSON. Gives the exit status: 0 when the session jumped, 1 when it did not, with why.
int run_jump(const std::string& socket_path, const std::string& underlay, bool as_json);

}  // namespace jvpn
