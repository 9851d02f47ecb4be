// What programs take from the operating system for the engine: clocks and random bytes. The engine
// itself asks its Environment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/types.h"
#include "common/wire.h"

namespace jvpn::session {

/// CLOCK_BOOTTIME, which goes on while a machine sleeps.
uint64_t boottime_us();
Millis boottime_now();

/// CLOCK_REALTIME in milliseconds since 1970.
uint64_t realtime_ms();
/// CLOCK_REALTIME as TAI64N, for handshake timestamps.
wire::Timestamp tai64n_now();

/// An index or a seed of one; secrets, ids and nonces are longer.
inline constexpr size_t kSmallRandomBytes = 8;

/// Fills with random bytes from the kernel: without any, the program aborts. More than
/// kSmallRandomBytes are drawn by this call; fewer come from a block that the thread has drawn. It
/// is wiped as it is handed out and when the thread ends, and the child of a fork() drops it. Any
/// thread.
void fill_random(std::span<uint8_t> bytes);

}  // namespace jvpn::session
