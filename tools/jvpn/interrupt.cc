#include "tools/jvpn/interrupt.h"

#include <array>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace jvpn {

Interrupt::Interrupt() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, &before_);
  descriptor_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

Interrupt::~Interrupt() {
  signalfd_siginfo taken;  // or it would end the program once it isn't blocked any more
  while (read(descriptor_, &taken, sizeof taken) > 0) {
  }
  if (descriptor_ >= 0) close(descriptor_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

bool Interrupt::wait(std::chrono::milliseconds span) {
  pollfd signal{descriptor_, POLLIN, 0};
  return poll(&signal, 1, static_cast<int>(span.count())) > 0;
}

Interrupt::Woken Interrupt::wait_for(int other, std::optional<std::chrono::milliseconds> span) {
  std::array<pollfd, 2> either{{{descriptor_, POLLIN, 0}, {other, POLLIN, 0}}};
  int ready = 0;
  do {
    ready = poll(either.data(), either.size(), span ? static_cast<int>(span->count()) : -1);
  } while (ready < 0);
  if (ready == 0) return Woken::kLate;
  return either[0].revents == 0 ? Woken::kReady : Woken::kEnd;
}

}  // namespace jvpn
