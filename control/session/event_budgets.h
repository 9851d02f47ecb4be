// How often what others provoke is told: each kind of event and code has a budget of its own, so
// that one flood hides nothing else. What is left out is counted. Control thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/token_bucket.h"
#include "control/session/event.h"

namespace jvpn::session {

class EventBudgets {
 public:
  explicit EventBudgets(uint32_t per_second) : rate_(per_second) {}

  void set_rate(Millis now, uint32_t per_second) {
    rate_ = per_second;
    for (Budget& each : budgets_) each.left = TokenBucket(rate_, now);
  }

  /// How many were left out since the last that was told; nullopt: this one is, too.
  std::optional<uint64_t> take(Millis now, EventKind kind, Reason reason) {
    Budget& budget = budget_of(now, kind, reason);
    if (budget.left.take(now)) return std::exchange(budget.suppressed, 0);
    ++budget.suppressed;
    return std::nullopt;
  }

 private:
  struct Budget {
    EventKind kind;
    Reason reason;
    TokenBucket left;
    uint64_t suppressed = 0;
  };

  Budget& budget_of(Millis now, EventKind kind, Reason reason) {
    const auto at = std::ranges::find_if(
        budgets_, [&](const Budget& each) { return each.kind == kind && each.reason == reason; });
    if (at != budgets_.end()) return *at;
    budgets_.push_back({kind, reason, TokenBucket(rate_, now)});
    return budgets_.back();
  }

  uint32_t rate_;
  std::vector<Budget> budgets_;  ///< of the codes that occurred
};

}  // namespace jvpn::session
