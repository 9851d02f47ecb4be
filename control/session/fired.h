// Which bound brought something about, what it allows and what was seen: for events. Pure.
#pragma once

#include <cstdint>

#include "control/session/state_machine.h"

namespace jvpn::session {

struct Fired {
  const char* limit = nullptr;  ///< key of the policy, or of a constant; nullptr: no bound
  uint64_t threshold = 0;       ///< in the key's unit; of a fraction, millionths
  uint64_t observed = 0;
  bool is_fraction = false;

  explicit operator bool() const { return limit != nullptr; }
};

/// The bound behind a row that `event` or time applied to `before`.
Fired fired_by(const SessionRecord& before, const AppliedRow& row, const SessionEvent& event,
               const Policy& policy, Millis now);

}  // namespace jvpn::session
