// How long the machine itself holds a thread up, while the thread's CPU time goes on.
#pragma once

#include "perf/harness/command.h"

namespace jvpn::perf {

/// A thread on control's CPU that only touches memory, as much as so many sessions take: what a
/// host takes away and gives back (a page of the guest that it has to find anew) looks like time on
/// the CPU, in this thread as in control. The driver's CPU is as busy meanwhile as it is in a
/// phase. {"seconds", "over_1ms", "longest_cpu_us"}, of units of some ten microseconds each. Blocks
/// for `seconds`.
Json measure_machine_stalls(double seconds, uint32_t sessions);

}  // namespace jvpn::perf
