// The rows of the state machine (docs/STATE_MACHINE.md), as data: what each waits for, where it
// leads, and what it does to the binding. state_machine.cc applies them; documents are made of
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "control/session/state_machine.h"

namespace jvpn::session {

inline constexpr size_t kStateCount = static_cast<size_t>(State::kTerminated) + 1;

/// A set of states.
using States = uint8_t;

constexpr States only(State state) {
  return static_cast<States>(1U << static_cast<unsigned>(state));
}
constexpr bool includes(States states, State state) {
  return state <= State::kTerminated && (states & only(state)) != 0;
}

/// What a row waits for.
enum class When : uint8_t {
  kTriggered,  ///< its trigger
  kDue,        ///< its deadline
  kCorrupt,    ///< a record that no sequence of rows can have produced
};

/// What a row does to the active binding.
enum class BindingEffect : uint8_t {
  kKeep,
  kLose,          ///< the transport is dead: there is no active binding any more
  kLoseIfSilent,  ///< the same, if it was silent for transport_dead_ms
  kReplace,       ///< first of the two rows of a commit: the old one is active until the second
  kBind,          ///< the new one is active
  kEnd,           ///< the session has ended
};

/// What a row counts as, for the policy's bounds per minute.
enum class Counts : uint8_t { kNothing, kFlap, kSwitch };

/// When a timed row is due, and its text in docs/STATE_MACHINE.md.
struct Deadline {
  Millis (*at)(const SessionRecord&, const Policy&) = nullptr;
  const char* words = nullptr;
};

/// What else a triggered row asks for.
struct Guard {
  bool (*holds)(const SessionRecord&, const SessionEvent&, const Policy&, Millis) = nullptr;
  const char* words = nullptr;
};

struct Row {
  States from;
  When when;
  Trigger trigger;    ///< of kTriggered
  Deadline deadline;  ///< of kDue
  Guard guard;        ///< of kTriggered; none: always
  State to;
  Reason reason;
  BindingEffect binding = BindingEffect::kKeep;
  Counts counts = Counts::kNothing;
  Detail detail = Detail::kNone;  ///< kNone: the event's
};

/// All rows, in the order in which simultaneous triggers are judged.
std::span<const Row> state_table();

/// Those that can be applied in `state`, in the same order.
std::span<const Row* const> rows_from(State state);

/// What docs/STATE_MACHINE.md says of a binding effect; empty for kKeep.
const char* to_string(BindingEffect effect);

/// The drawing and the table of docs/STATE_MACHINE.md.
std::string state_table_markdown();

}  // namespace jvpn::session
