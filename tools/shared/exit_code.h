// What the programs' exit codes mean.
#pragma once

namespace jvpn {

inline constexpr int kRuntimeFailure = 1;
inline constexpr int kBadProfile = 2;
inline constexpr int kBadUsage = 2;
inline constexpr int kNeedsRestart = 4;  ///< `jvpn reload`: done, but for keys that it names

}  // namespace jvpn
