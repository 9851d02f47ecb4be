// Has every thread of this process do what the kernel lets a thread do for itself alone.
#pragma once

#include "common/result.h"

namespace jvpn::sandbox {

/// Each thread, whoever made it, runs `act` once, the calling one first; others by
/// thread_signal(), so `act` is async-signal-safe. Those that are made meanwhile are asked, too. An
/// Error: one took no signal, or `act` gave false in one. The main thread calls it.
Result<void> in_every_thread(bool (*act)());

}  // namespace jvpn::sandbox
