// An eventfd by which one thread tells another that there is something to take, and which costs the
// other one a system call only when it was rung.
#pragma once

#include <atomic>

#include <sys/eventfd.h>

#include "common/file_descriptor.h"

namespace jvpn::session {

class Doorbell {
 public:
  /// False: the system has no descriptor left.
  explicit operator bool() const { return static_cast<bool>(event_); }

  /// After what there is to take was put where it is taken from. Any thread.
  void ring() {
    eventfd_write(event_.get(), 1);                // full: it is readable already
    rung_.store(true, std::memory_order_release);  // or answer() might clear it too early
  }
  /// Whoever takes: whether it was rung since. Then look once more.
  bool answer() {
    if (!rung_.load(std::memory_order_acquire)) return false;
    rung_.store(false, std::memory_order_relaxed);
    eventfd_t count = 0;
    eventfd_read(event_.get(), &count);
    return true;
  }
  /// Readable from ring() until answer().
  int descriptor() const { return event_.get(); }

 private:
  FileDescriptor event_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::atomic<bool> rung_{false};
};

}  // namespace jvpn::session
