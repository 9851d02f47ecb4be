// Events of a session's life (docs/DESIGN.md, events), as values. Whoever hosts the engine writes
// them out.
#pragma once

#include <cstdint>
#include <optional>

#include "common/path.h"
#include "common/reason.h"
#include "common/types.h"
#include "control/session/fired.h"
#include "control/session/state_machine.h"

namespace jvpn::session {

enum class EventKind : uint8_t {
  kStateChange,
  kTransportSwitch,
  kReattach,
  kSecurityEvent,
  kAuditEvent,
  kKeyEvent,
  kConfigEvent,
  kOwnershipChange,
  kHealthEvent,
};
inline constexpr EventKind kLastEventKind = EventKind::kHealthEvent;
const char* to_string(EventKind kind);

/// `Event::peer` of an event that concerns no known peer.
inline constexpr PeerId kNoPeer{UINT32_MAX};

/// Which end of its session tells of an event; kNone when it is of no session.
enum class SessionEnd : uint8_t { kNone, kInitiator, kResponder };

/// One event. Fields that a kind doesn't have stay empty and are not written.
struct Event {
  EventKind kind{};
  Millis at;
  SessionId session;
  PeerId peer = kNoPeer;
  SessionEnd end = SessionEnd::kNone;
  uint32_t policy_version = 0;
  Reason reason{};
  Detail detail = Detail::kNone;
  // STATE_CHANGE
  State from{};
  State to{};
  StateVersion state_version;
  // TRANSPORT_SWITCH; for others the path it is about
  std::optional<Path> from_path;
  std::optional<Path> to_path;
  // REATTACH, AUDIT_EVENT; string literals
  const char* check = nullptr;   ///< that failed, or that was made
  const char* result = nullptr;  ///< `accept`, `reject`; `ok`, `violated`, `refused`
  const char* cause = nullptr;   ///< TRANSPORT_SWITCH: why the initiator jumped
  Fired fired;                   ///< the bound that brought it about
  // AUDIT_RECOVERY_TIMELINE; `detail` is what policy held the recovery back for, last
  std::optional<uint64_t> duration_ms;
  /// Requests that were made (initiator) or came (responder); no fewer than the bound counts
  std::optional<uint64_t> attempts;
  std::optional<uint64_t> denied;  ///< of those, by policy
  // STATE_CHANGE to TERMINATED
  std::optional<uint64_t> lifetime_ms;
  std::optional<uint64_t> switches;
  // TRANSPORT_SWITCH
  std::optional<uint64_t> latency_ms;  ///< since the first request
  // What is sampled: how often the same was left out since it was last told
  std::optional<uint64_t> suppressed;
  // SECURITY_EVENT of the data path: packets since it was last told; `check` is their counter.
  // HEALTH_EVENT: what was refused so far
  std::optional<uint64_t> count;
  // OWNERSHIP_CHANGE: runs of gateways; 0: none, or not known
  std::optional<uint64_t> from_epoch;
  std::optional<uint64_t> to_epoch;
  // EVENTS_LOST: how many before this line, its own number included
  std::optional<uint64_t> lost;
};

}  // namespace jvpn::session
