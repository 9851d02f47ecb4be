// The clocks that a stored session's life is counted by. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/types.h"

namespace jvpn::store {

/// One moment. BOOTTIME counts within a boot, where nobody can set it; across boots the wall clock
/// has to do.
struct StoreTime {
  uint64_t wall_ms = 0;  ///< CLOCK_REALTIME, since 1970
  Millis boot;           ///< CLOCK_BOOTTIME
  std::string boot_id;   ///< of this boot, as the kernel names it
};

StoreTime store_time_now();

/// What has passed since `then`. `known_up`: of that boot, for how long after `then` the machine is
/// known to have run. Should the wall clock have been set back, at least what BOOTTIME proves.
Millis elapsed(const StoreTime& then, const StoreTime& now, Millis known_up);

}  // namespace jvpn::store
