// The system calls that a program may make once it has started, seccomp(2): what it does is known,
// and whoever takes it over by a fault gets no more than that. Not among them: to run another
// program, to look into another process, to mount, to load into the kernel, to change identity.
#pragma once

#include <initializer_list>
#include <span>
#include <string>

#include "common/result.h"

namespace jvpn::sandbox {

/// What happens at one that isn't allowed.
enum class Refusal {
  kEnd,  ///< the process ends by SIGSYS, and says which one it was
  kLog,  ///< it is made, and the kernel's log tells of it: to find out what a new driver needs
};

/// Applies to all threads, for good; also sets PR_SET_NO_NEW_PRIVS. `more` are allowed beside what
/// both programs need, by name (`bpf`). An Error: the kernel or libseccomp refused, nothing has
/// changed.
Result<void> restrict_system_calls(std::span<const char* const> more, Refusal refusal);

}  // namespace jvpn::sandbox
