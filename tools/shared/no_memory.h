// What a program does when the system has no memory left for it.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <new>

#include <sys/uio.h>
#include <unistd.h>

#include "tools/shared/exit_code.h"

namespace jvpn {

/// One line on stderr, and the program ends with kRuntimeFailure. Nothing is unwound: what holds
/// half of a change must not go on, and destructors would need memory, too.
[[noreturn]] inline void end_for_want_of_memory() {
  constexpr char kNews[] =
      ": out of memory, so it ends at once; give it more (MemoryMax= of its unit, ulimit -v) or "
      "fewer sessions\n";
  char* const name = program_invocation_short_name;
  size_t length = 0;
  while (name[length] != '\0') ++length;
  const iovec parts[] = {{name, length}, {const_cast<char*>(kNews), sizeof kNews - 1}};
  [[maybe_unused]] const ssize_t said = writev(STDERR_FILENO, parts, 2);
  _exit(kRuntimeFailure);
}

/// From now on an allocation by C++ that the system refuses ends the program by name, on whichever
/// thread: no code has to survive it, so none can survive it wrongly. Call it first in main().
inline void end_by_name_without_memory() {
  std::set_new_handler(end_for_want_of_memory);
}

}  // namespace jvpn
