// A rate limit: so many per second, at most one second's worth at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/types.h"

namespace jvpn {

/// Full at creation. Time is a parameter; a clock that runs backwards adds nothing.
class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, Millis now)
      : rate_(per_second), thousandths_(uint64_t{per_second} * 1000), filled_(now) {}

  /// True and one token less, or false when there is none.
  bool take(Millis now) {
    const uint64_t room = uint64_t{rate_} * 1000;
    const uint64_t elapsed = std::min<uint64_t>((now - filled_).value, 1000);
    thousandths_ = std::min(room, thousandths_ + elapsed * rate_);
    filled_ = std::max(filled_, now);
    if (thousandths_ < 1000) return false;
    thousandths_ -= 1000;
    return true;
  }

 private:
  uint32_t rate_;
  uint64_t thousandths_;
  Millis filled_;
};

}  // namespace jvpn
