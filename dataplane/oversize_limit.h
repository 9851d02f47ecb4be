// What of a peer's traffic may be larger than its path. Each such packet is work for control, which
// cuts it or answers with an ICMP error: no peer takes control's time from the others. Of one
// worker.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/types.h"

namespace jvpn {

class OversizeLimit {
 public:
  static constexpr uint64_t kPerSecond = 2'000;  ///< packets of one peer
  static constexpr uint64_t kAtOnce = 64;
  static constexpr uint32_t kShares = 4'096;  ///< more peers than that share them

  OversizeLimit(uint32_t peers, uint64_t tsc_per_second)
      : interval_(tsc_per_second / kPerSecond), next_(std::clamp(peers, 1U, kShares)) {}

  /// False: this one is too many.
  bool take(PeerId to, uint64_t now_tsc) {
    uint64_t& next = next_[to.value % next_.size()];
    if (next > now_tsc + (kAtOnce - 1) * interval_) return false;
    next = std::max(next, now_tsc) + interval_;
    return true;
  }

 private:
  uint64_t interval_;
  std::vector<uint64_t> next_;  ///< when the share would be unused again
};

}  // namespace jvpn
