// How much expensive input is handled: each class of authentic messages has a budget for each
// session, so that one peer's flood leaves the others alone, and one for all. What is over a budget
// is counted under the class' name and not handled; that it came is a sign of life all the same.
// Control thread only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/policy.h"
#include "common/token_bucket.h"

namespace jvpn::session {

enum class Input : uint8_t {
  kHeartbeat,
  kRekey,  ///< REKEY_INITIATION, at a responder
  kNewIndices,
  kPathProbe,
  kPathResponse,
  kMtuProbe,   ///< apart from PATH_PROBE: a ladder would make candidates look lossy
  kMtuChange,  ///< of what a session's packets may be; each publishes a binding
  kCount
};
inline constexpr size_t kInputs = static_cast<size_t>(Input::kCount);

struct InputBudget {
  const char* name;
  uint32_t (*per_session)(const Policy&);  ///< a second
  uint32_t in_all;                         ///< a second
};

/// Of Input, in order.
inline constexpr std::array<InputBudget, kInputs> kInputBudgets{{
    // One that isn't answered is followed after a quarter of the interval; and as much for bunches.
    // A path in doubt is probed by them, too: eight times a second by up to 24 on one that loses.
    {"heartbeats",
     [](const Policy& policy) {
       const uint64_t interval = std::max<uint64_t>(policy.volatility.heartbeat_interval.value, 1);
       return static_cast<uint32_t>(8'000 / interval + 240);
     },
     200'000},
    // 100 000 sessions that attached at once rekey at once: all within the minute that they have.
    {"rekeys", [](const Policy&) { return uint32_t{4}; }, 2'500},
    {"new_indices", [](const Policy&) { return uint32_t{10}; }, 20'000},
    {"path_probes", [](const Policy& policy) { return policy.security.reattach_rate_per_s; },
     50'000},
    {"path_responses", [](const Policy& policy) { return policy.security.reattach_rate_per_s; },
     50'000},
    {"mtu_probes", [](const Policy&) { return uint32_t{128}; }, 50'000},
    {"mtu_changes", [](const Policy&) { return uint32_t{10}; }, 20'000},
}};

/// What is left of the budgets; each is full when it is first asked.
using Budgets = std::array<std::optional<TokenBucket>, kInputs>;

/// False: over one of the budgets. A session that is over its own takes nothing from that of all.
inline bool admit(Millis now, const Policy& policy, Input input, Budgets& of_session,
                  Budgets& of_all) {
  const auto i = static_cast<size_t>(input);
  const InputBudget& budget = kInputBudgets[i];
  if (!of_session[i]) of_session[i].emplace(budget.per_session(policy), now);
  if (!of_all[i]) of_all[i].emplace(budget.in_all, now);
  return of_session[i]->take(now) && of_all[i]->take(now);
}

}  // namespace jvpn::session
