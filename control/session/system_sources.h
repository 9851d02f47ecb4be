// What programs take from the operating system for the engine: clocks and random bytes. The engine
// itself asks its Environment.
#pragma once

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

/// Fills with random bytes from the kernel. Keys come from here: without any, the program aborts.
void fill_random(std::span<uint8_t> bytes);

}  // namespace jvpn::session
