// Ctrl-C as something to wait for, so that commands that run until then end in order.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

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
  enum class Woken : uint8_t {
    kReady,  ///< it is readable
    kEnd,    ///< the command is to end
    kLate    ///< nothing came in time
  };
  /// Waits until `other` is readable, for so long at most; nullopt: for ever.
  Woken wait_for(int other, std::optional<std::chrono::milliseconds> span = std::nullopt);

 private:
  int descriptor_ = -1;
  sigset_t before_;
};

}  // namespace jvpn
