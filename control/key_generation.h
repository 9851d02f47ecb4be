// The keys of one handshake or rekey, and what control keeps beside them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/replay_window.h"
#include "common/types.h"
#include "control/key_schedule.h"

namespace jvpn {

/// Control messages are few: this many may overtake one another.
inline constexpr size_t kControlWindowBits = 1'024;

/// One generation of a session's keys. The control core alone reads and writes it; keys stay raw,
/// because expanding them for the rare control message is cheaper than keeping them expanded.
struct KeyGeneration {
  ReplayWindow<kControlWindowBits> window;  ///< control counters received
  SessionKeys keys;
  uint64_t number = 1;        ///< 1 for the handshake's, one more with each rekey
  uint64_t next_counter = 0;  ///< of the next control message sent
  ReceiverIndex local;        ///< this end receives on it
  ReceiverIndex remote;       ///< the peer receives on it
  uint16_t peer_lanes = 1;    ///< the peer sends on lanes 0 … peer_lanes - 1
  Millis created;
  Millis retire_at{UINT64_MAX};  ///< of a previous generation: when its index goes
};

}  // namespace jvpn
