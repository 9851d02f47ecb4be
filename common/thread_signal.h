// The signal that reaches each thread of a process, to have it do what the kernel lets a thread do
// for itself alone (tools/shared/sandbox). No thread blocks it.
#pragma once

#include <csignal>

namespace jvpn {

inline int thread_signal() {
  return SIGRTMAX;
}

}  // namespace jvpn
