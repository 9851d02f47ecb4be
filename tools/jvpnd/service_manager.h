// What the gateway tells whoever started it as a service, sd_notify(3): that it is ready, that it
// ends, and that it is alive. Nothing where nobody asked ($NOTIFY_SOCKET).
#pragma once

#include <chrono>

#include <sys/un.h>

#include "common/file_descriptor.h"

namespace jvpn {

class ServiceManager {
 public:
  /// Reads the environment: before other threads run.
  ServiceManager();

  void ready();
  void stopping();
  /// One thread, however often: it tells as often as the service manager wants to hear it, and
  /// never waits for it.
  void alive();

 private:
  std::chrono::steady_clock::duration interval_{};  ///< 0: it doesn't want to
  std::chrono::steady_clock::time_point told_;
  FileDescriptor socket_;
  sockaddr_un socket_at_{};
  socklen_t length_ = 0;
};

}  // namespace jvpn
