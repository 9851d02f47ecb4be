// What the gateway tells whoever started it as a service, sd_notify(3): that it is ready, that it
// ends, and that it is alive. Nothing where nobody asked ($NOTIFY_SOCKET).
#pragma once

#include <chrono>

namespace jvpn {

class ServiceManager {
 public:
  /// Reads the environment: before other threads run.
  ServiceManager();

  void ready();
  void stopping();
  /// Any thread, however often: it tells as often as the service manager wants to hear it.
  void alive();

 private:
  std::chrono::steady_clock::duration interval_{};  ///< 0: it doesn't want to
  std::chrono::steady_clock::time_point told_;
};

}  // namespace jvpn
