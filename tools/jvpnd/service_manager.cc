#include "tools/jvpnd/service_manager.h"

#include <cstdint>

#include <systemd/sd-daemon.h>

namespace jvpn {

ServiceManager::ServiceManager() {
  uint64_t limit_us = 0;
  // A third of the limit: one that is late isn't the last.
  if (sd_watchdog_enabled(0, &limit_us) > 0) interval_ = std::chrono::microseconds(limit_us / 3);
}

void ServiceManager::ready() {
  sd_notify(0, "READY=1");
}

void ServiceManager::stopping() {
  sd_notify(0, "STOPPING=1");
}

void ServiceManager::alive() {
  const auto now = std::chrono::steady_clock::now();
  if (interval_ == interval_.zero() || now - told_ < interval_) return;
  told_ = now;
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace jvpn
