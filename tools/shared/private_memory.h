// What a process that holds keys asks of the kernel.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace jvpn {

inline std::string refused_privacy(const char* what) {
  return std::string(what) + ": " + std::strerror(errno);
}

/// From now on this process's memory reaches neither a core file nor another user's debugger. For
/// programs that hold a key for a moment. Returns what the kernel refused; empty: nothing.
inline std::string keep_memory_undumped() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return refused_privacy("core files may hold keys");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused_privacy("debuggers may read keys");
  return {};
}

/// The same, and it doesn't reach swap: for programs that hold keys as long as they run. Call it
/// before keys are read. Returns what the kernel refused and the mend, for the log; empty: nothing.
inline std::string keep_memory_private() {
  if (std::string refused = keep_memory_undumped(); !refused.empty()) return refused;
  // Pages are locked as they are used: DPDK reserves far more addresses than it takes.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    return refused_privacy("keys may be swapped out, set LimitMEMLOCK=infinity or swap off");
  return {};
}

}  // namespace jvpn
