// A program that this one started. Ends with this object, at the latest with this process. One
// thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/result.h"

namespace jvpn::perf {

class ChildProcess {
 public:
  /// `words`: the program, looked for in PATH, and its arguments; `out`, `err`: its descriptors 1
  /// and 2. In a session of its own: a terminal's Ctrl-C is for us alone.
  static Result<std::unique_ptr<ChildProcess>> start(std::vector<std::string> words, int out,
                                                     int err);
  /// SIGTERM, and SIGKILL when it hasn't ended in time.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool alive();
  void signal(int number);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;  ///< -1: it has ended
};

/// The folder of the build tree that this program runs from.
std::string build_folder();

}  // namespace jvpn::perf
