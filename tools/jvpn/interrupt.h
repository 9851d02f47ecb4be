// Ctrl-C as something to wait for, so that commands that run until then end in order.
#pragma once

#include <chrono>

#include <signal.h>

namespace jvpn {

class Interrupt {
 public:
  /// While it lives, SIGINT and SIGTERM come by here alone.
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Waits so long. True: the command is to end.
  bool wait(std::chrono::milliseconds span);
  /// Waits until `other` is readable. False: the command is to end.
  bool wait_for(int other);

 private:
  int descriptor_ = -1;
  sigset_t before_;
};

}  // namespace jvpn
