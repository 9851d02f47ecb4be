// The client's one place to sleep: epoll over everything that can wake it, and a timer on
// CLOCK_BOOTTIME, which goes on while a laptop sleeps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "common/types.h"

namespace jvpn::client::control {

class EventLoop {
 public:
  struct Ready {
    uint64_t tag = 0;
    bool readable = false;  ///< or in error, which reading tells
    bool writable = false;
  };

  static Result<EventLoop> create();

  /// Watches a descriptor for reading until it is closed. One that is watched already stays as it
  /// is.
  Result<void> add(int fd, uint64_t tag);
  /// Changes what a watched descriptor may wake for.
  void change(int fd, uint64_t tag, bool readable, bool writable);

  /// Sleeps until something is ready or `deadline` has passed; Millis{UINT64_MAX}: no deadline.
  /// What it returns stays until the next call; it is empty when the deadline woke it.
  std::span<const Ready> wait(Millis deadline);

 private:
  EventLoop() = default;
  void arm(Millis deadline);

  FileDescriptor epoll_;
  FileDescriptor timer_;
  Millis armed_{UINT64_MAX};
  std::vector<Ready> ready_;
};

}  // namespace jvpn::client::control
