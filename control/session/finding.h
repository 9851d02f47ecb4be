// What a check of a request, or of a wish to switch, found. Pure.
#pragma once

#include <cstdint>

#include "common/reason.h"
#include "control/session/fired.h"

namespace jvpn::session {

/// What a check of a reattach request found: the outcome's reason code, and the check's name when
/// it failed.
struct Finding {
  Reason reason = Reason::kReattachAccept;
  Detail detail = Detail::kNone;
  const char* check = nullptr;
  uint32_t retry_after_ms = 0;  ///< when it may be worth to ask again; 0: not known
  Fired fired{};                ///< the policy's bound that it met
  bool ok() const { return reason == Reason::kReattachAccept; }
};

/// Whether policy allows such a switch now: cooldown, also of DEGRADED, and the budget of its kind.
Finding judge_switch(const SessionRecord& record, SwitchKind kind, const Policy& policy,
                     Millis now);

}  // namespace jvpn::session
