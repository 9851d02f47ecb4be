// Where a thread of this process is, for a person: the functions that it is in, or why it runs
// nowhere. For threads that don't come back.
#pragma once

#include <string>

#include <sys/types.h>

namespace jvpn::gateway {

/// Asks threads by thread_signal(): whoever else handles that signal is done with it before. One
/// per process at a time.
class ThreadPlaces {
 public:
  ThreadPlaces();
  ~ThreadPlaces();
  ThreadPlaces(const ThreadPlaces&) = delete;
  ThreadPlaces& operator=(const ThreadPlaces&) = delete;

  /// `jvpn::Worker::run+0x2c < …`, the innermost first; or what proc_pid_stat(5) says of a thread
  /// that takes no signal. Waits for it, at most 100 ms. The thread is interrupted for
  /// microseconds. One caller at a time.
  std::string of(pid_t thread);
};

}  // namespace jvpn::gateway
