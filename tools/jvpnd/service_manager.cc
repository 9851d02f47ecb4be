#include "tools/jvpnd/service_manager.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

namespace jvpn {
namespace {

constexpr std::string_view kAlive = "WATCHDOG=1";

}  // namespace

ServiceManager::ServiceManager() {
  uint64_t limit_us = 0;
  // A third of the limit: one that is late isn't the last.
  if (sd_watchdog_enabled(0, &limit_us) > 0) interval_ = std::chrono::microseconds(limit_us / 3);
  const char* const named = getenv("NOTIFY_SOCKET");
  const std::string_view path = named == nullptr ? "" : named;
  if (interval_ == interval_.zero() || path.empty() || path.size() >= sizeof socket_at_.sun_path)
    return;
  socket_at_.sun_family = AF_UNIX;
  std::memcpy(socket_at_.sun_path, path.data(), path.size());
  if (path.front() == '@') socket_at_.sun_path[0] = '\0';  // an abstract one, unix(7)
  length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  socket_ = FileDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
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
  if (!socket_) return;
  // Not by sd_notify(), which waits for a service manager that doesn't read.
  (void)::sendto(socket_.get(), kAlive.data(), kAlive.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&socket_at_), length_);
}

}  // namespace jvpn
