// Time as a test wants it, for the control core and for what workers note by the TSC.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "control/gateway/gateway_clock.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

class VirtualClock final : public GatewayClock {
 public:
  explicit VirtualClock(Millis start) { set(start); }

  uint64_t now_us() const override { return marks_.back().second.value * 1'000; }
  /// The latest time that was set before a worker read that TSC.
  Millis at_tsc(uint64_t tsc) const override {
    if (tsc == 0) return Millis{0};
    const auto after = std::ranges::upper_bound(marks_, tsc, {}, &Mark::first);
    return after == marks_.begin() ? after->second : std::prev(after)->second;
  }
  void advance(Millis span) { set(now() + span); }

 private:
  using Mark = std::pair<uint64_t, Millis>;
  void set(Millis to) { marks_.emplace_back(rte_rdtsc(), to); }

  std::vector<Mark> marks_;
};

}  // namespace jvpn::test
