#include "common/assert.h"

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace jvpn {

// No allocation and no logger: whatever is broken may be what they need.
void assertion_failed(const char* condition, const char* message, const char* file, int line) {
  char number[16];
  std::snprintf(number, sizeof number, "%d", line);
  for (const char* part : {file, ":", static_cast<const char*>(number),
                           ": assertion failed: ", condition, ": ", message, "\n"})
    std::fputs(part, stderr);
  std::abort();
}

}  // namespace jvpn
