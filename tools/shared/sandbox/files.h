// Where a program may write once it has started, landlock(7). Root without capabilities still owns
// the system's files: whoever takes such a program over would write himself an order for cron.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace jvpn::sandbox {

/// From now on no thread of this process makes, changes, removes or runs a file, but beneath these
/// directories (there it doesn't run any either); open files stay as they are, and all can be read.
/// One that isn't there is left out. False: the kernel has no Landlock (5.13), and nothing has
/// changed. An Error: it refused. The main thread calls it.
Result<bool> write_only_beneath(const std::vector<std::string>& directories);

}  // namespace jvpn::sandbox
