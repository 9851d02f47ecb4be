// `jvpn health`: what is wrong with a gateway now, for people and for monitoring.
#pragma once

#include <string>

namespace jvpn {

/// Prints a line for each flag that is raised, or that all is well. Gives the exit status: 0 when
/// all is well, kUnhealthy when not, kRuntimeFailure when the program doesn't answer.
int run_health(const std::string& socket_path, bool as_json);

}  // namespace jvpn
