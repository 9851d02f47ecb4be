// The keys of one handshake or rekey, and what control keeps beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/path.h"
#include "common/replay_window.h"
#include "common/types.h"
#include "control/session/key_schedule.h"

namespace jvpn::session {

/// Control messages are few: this many may overtake one another.
inline constexpr size_t kControlWindowBits = 256;

/// Control counters of one binding: its lane has the binding's number, so that nothing ties what
/// two paths show together.
struct ControlLane {
  ReplayWindow<kControlWindowBits> window;  ///< sequences received
  uint64_t next_sequence = 0;               ///< of the next message sent
};

/// A binding that isn't in use yet: an index at each end and lanes of its own, for one path alone.
struct SpareBinding {
  uint16_t number = 0;         ///< its lanes begin at number × lanes, in both directions
  ReceiverIndex local;         ///< this end receives on it; 0: none yet
  ReceiverIndex remote;        ///< the peer receives on it; 0: not told yet
  std::optional<Path> path{};  ///< the first path it was used on; no other may use it
  bool returned = false;       ///< initiator: given back, until the responder's list agrees
  ControlLane control{};
};

/// One generation of a session's keys. The control core alone reads and writes it; keys stay raw,
/// because expanding them for the rare control message is cheaper than keeping them expanded.
struct KeyGeneration {
  SessionKeys keys;
  ControlLane control;       ///< of the active binding
  uint64_t number = 1;       ///< 1 for the handshake's, one more with each rekey
  ReceiverIndex local;       ///< this end receives on it, on the active binding
  ReceiverIndex remote;      ///< the peer receives on it, on the active binding
  uint16_t binding = 0;      ///< number of the active binding: its lanes begin at number × lanes
  uint16_t last_number = 0;  ///< of the latest spare issued or learnt
  uint16_t peer_lanes = 1;   ///< lanes that the peer sends on, on each binding
  std::vector<SpareBinding> spares;
  bool left = false;  ///< the session has jumped away from the path of its active binding
  Millis created;
  Millis retire_at{UINT64_MAX};  ///< of a previous generation: when its index goes
};

}  // namespace jvpn::session
