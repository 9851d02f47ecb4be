#include "control/store/store_time.h"

#include <algorithm>
#include <fstream>

#include "control/session/system_sources.h"

namespace jvpn::store {

StoreTime store_time_now() {
  static const std::string boot_id = [] {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
  }();
  return {session::realtime_ms(), session::boottime_now(), boot_id};
}

Millis elapsed(const StoreTime& then, const StoreTime& now, Millis known_up) {
  if (then.boot_id == now.boot_id && !now.boot_id.empty()) return now.boot - then.boot;
  const Millis proven = saturating_add(known_up, now.boot);
  return std::max(proven, Millis{now.wall_ms} - Millis{then.wall_ms});
}

}  // namespace jvpn::store
