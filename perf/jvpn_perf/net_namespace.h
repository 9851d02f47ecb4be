// Sockets inside network namespaces. A socket stays in the namespace that it was made in, so only
// the making of it needs a thread that has gone there.
#pragma once

#include <functional>
#include <string>

#include "common/result.h"

namespace jvpn::perf {

/// Runs `body` on a thread of its own inside /run/netns/`name`, and waits for it.
Result<void> in_namespace(const std::string& name, const std::function<Result<void>()>& body);

}  // namespace jvpn::perf
