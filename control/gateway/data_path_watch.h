// Whether packets can be moved at all: workers that poll, and a link on either side. A gateway
// whose control lives and whose data path is dead is of no use to its clients. Control thread only.
#pragma once

#include <optional>

#include <rte_rcu_qsbr.h>

#include "common/dataplane_view.h"
#include "common/types.h"

namespace jvpn::gateway {

class DataPathWatch {
 public:
  static constexpr Millis kPatience{1'000};

  /// `view` outlives it.
  explicit DataPathWatch(const DataplaneView& view) : view_(view) {}

  /// False: some worker hasn't polled for kPatience, or no outside or no inside port had a link.
  bool works(Millis now) {
    if (now < next_look_) return works_;
    const bool first = next_look_ == Millis{};
    next_look_ = now + kInterval;
    if (workers_pass() || first) passed_ = now;
    if (first || (has_link(PortRole::kOutside) && has_link(PortRole::kInside))) linked_ = now;
    works_ = now - passed_ < kPatience && now - linked_ < kPatience;
    return works_;
  }

 private:
  static constexpr Millis kInterval{50};

  /// Every worker has been between two bursts since the latest token was given out.
  bool workers_pass() {
    if (token_ && rte_rcu_qsbr_check(view_.rcu, *token_, false) != 1) return false;
    token_ = rte_rcu_qsbr_start(view_.rcu);
    return true;
  }
  /// Some port of that role has one, or there is none.
  bool has_link(PortRole role) const {
    bool any = false;
    for (const PortInfo& port : view_.ports) {
      if (port.role != role) continue;
      any = true;
      if (view_.link_up(port.number)) return true;
    }
    return !any;
  }

  const DataplaneView& view_;
  std::optional<uint64_t> token_;
  Millis passed_;
  Millis linked_;
  Millis next_look_;
  bool works_ = true;
};

}  // namespace jvpn::gateway
