// How long a turn of control may go on: what it does begins while the limit isn't spent, and each
// unit of it (a key exchange, a page of sessions) takes far less than what is then left of a
// millisecond. Whatever is done in units asks between two of them, so that their sum is bounded
// whatever they cost. Control thread only.
#pragma once

#include <cstdint>

#include "control/gateway/gateway_clock.h"

namespace jvpn::gateway {

class TurnLimit {
 public:
  static constexpr uint64_t kSpentUs = 600;

  explicit TurnLimit(const GatewayClock& clock) : clock_(clock) {}
  void begin() { until_us_ = clock_.now_us() + kSpentUs; }
  /// The time that passed counts, which is never less than what the thread ran.
  bool spent() const { return clock_.now_us() >= until_us_; }

 private:
  const GatewayClock& clock_;
  uint64_t until_us_ = 0;
};

}  // namespace jvpn::gateway
