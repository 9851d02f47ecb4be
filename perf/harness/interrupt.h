// Ctrl-C: a flag that everything that waits looks at. Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace jvpn::perf {

/// From now on SIGINT, SIGTERM and SIGHUP only set the flag.
void catch_interrupts();
bool interrupted();

enum class Waited { kHolds, kTimedOut, kInterrupted };

/// Looks every `step` until `holds`, or the limit is over, or the run is interrupted.
Waited wait_until(const std::function<bool()>& holds, std::chrono::milliseconds limit,
                  std::chrono::milliseconds step = std::chrono::milliseconds(5));

}  // namespace jvpn::perf
