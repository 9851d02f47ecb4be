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

  uint64_t now_us() const override {
    passed_us_ += us_per_look;
    return marks_.back().second.value * 1'000 + passed_us_;
  }
  /// The latest time that was set before a worker read that TSC.
  Millis at_tsc(uint64_t tsc) const override {
    if (tsc == 0) return Millis{0};
    const auto after = std::ranges::upper_bound(marks_, tsc, {}, &Mark::first);
    return after == marks_.begin() ? after->second : std::prev(after)->second;
  }
  void advance(Millis span) { set(now() + span); }

  uint64_t us_per_look = 0;  ///< passes whenever somebody looks, as while messages are handled

 private:
  using Mark = std::pair<uint64_t, Millis>;
  void set(Millis to) {
    passed_us_ = 0;
    marks_.emplace_back(rte_rdtsc(), to);
  }

  mutable uint64_t passed_us_ = 0;  ///< since the latest mark
  std::vector<Mark> marks_;
};

}  // namespace jvpn::test
