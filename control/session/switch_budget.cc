// How many switches of each kind a session may make (docs/DESIGN.md, reattach).
#include <algorithm>

#include "common/limits.h"
#include "control/session/state_machine.h"

namespace jvpn::session {
namespace {

constexpr Millis kRebindWait{250};  // after the first rebind

// Each that came within a minute before the latest doubles the wait for the next.
Millis rebind_allowed(const SessionRecord& record) {
  const auto latest = record.rebinds.at(0, record.born);
  if (!latest) return Millis{0};
  unsigned before = 0;
  for (auto each = record.rebinds.at(1, record.born);
       each && saturating_add(*each, kMinute) > *latest;
       each = record.rebinds.at(before + 1, record.born)) {
    ++before;
  }
  return saturating_add(*latest, Millis{kRebindWait.value << before});
}

}  // namespace

SwitchKind switch_kind(const SessionRecord& record, const Policy& policy, Millis now, bool rebind) {
  if (!has_living_transport(record, policy, now)) return SwitchKind::kRecovery;
  return rebind ? SwitchKind::kRebind : SwitchKind::kWished;
}

Millis cooldown_ends(const SessionRecord& record, const Policy& policy) {
  const auto latest =
      std::max(record.switches.at(0, record.born), record.recoveries.at(0, record.born));
  return latest ? saturating_add(*latest, policy.switching.switch_cooldown) : Millis{0};
}

Millis switch_rate_allows(const SessionRecord& record, const Policy& policy, SwitchKind kind) {
  if (kind == SwitchKind::kRebind) return rebind_allowed(record);
  const size_t granted =
      std::min<size_t>(policy.switching.max_switches_per_min, kMaxSwitchesPerMin);
  if (granted == 0) return kNever;
  const auto& those = kind == SwitchKind::kRecovery ? record.recoveries : record.switches;
  const auto first = those.at(granted - 1, record.born);
  return first ? saturating_add(*first, kMinute) : Millis{0};
}

bool switch_rate_exceeded(const SessionRecord& record, const Policy& policy, Millis now) {
  return now < switch_rate_allows(record, policy, switch_kind(record, policy, now, false));
}

bool cooling_down(const SessionRecord& record, const Policy& policy, Millis now) {
  return now < cooldown_ends(record, policy);
}

}  // namespace jvpn::session
