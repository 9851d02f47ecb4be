// What the programs' exit codes mean.
#pragma once

namespace jvpn {

inline constexpr int kRuntimeFailure = 1;
inline constexpr int kBadProfile = 2;
inline constexpr int kBadUsage = 2;
inline constexpr int kNeedsRestart = 4;  ///< `jvpn reload`: done, but for keys that it names
inline constexpr int kNotRunning = 5;    ///< `jvpn peer`: the files are changed, no gateway runs
inline constexpr int kUnhealthy = 6;  ///< `jvpn health`: something is wrong; `doctor`: is missing

}  // namespace jvpn
