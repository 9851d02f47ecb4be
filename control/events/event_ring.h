// Events on their way from the control thread to the sink thread: a bounded ring with one producer
// and one consumer. A full one refuses; nobody waits.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/spsc_ring.h"
#include "control/session/event.h"

namespace jvpn::events {

/// An event with what only its emission knows.
struct StampedEvent {
  session::Event event;
  uint64_t sequence = 0;
  uint64_t realtime_ms = 0;
};
static_assert(std::is_trivially_copyable_v<StampedEvent>, "copied on the control thread");

/// A full one refuses the event.
using EventRing = SpscRing<StampedEvent>;

}  // namespace jvpn::events
