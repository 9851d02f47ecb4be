// Our Python scripts upon the package lab/jvpn_lab: commands that are one, and one that is run for
// its answer. One thread.
#pragma once

#include <memory>
#include <string>

#include <sys/types.h>

#include "common/file_descriptor.h"
#include "perf/harness/command.h"

namespace jvpn::perf {

/// A command that is a script, `path` in the source tree, which reads its words itself and says all
/// there is to say. `facts`, if any, are its first argument, with command and environment.
Command add_script(CLI::App& app, const std::string& name, const char* help, const char* path,
                   Json (*facts)());

class Script {
 public:
  /// `name`: its path in the source tree; it gets the options as one argument. In a session of its
  /// own: a terminal's Ctrl-C is for us alone. What it writes to stderr is seen.
  static Result<std::unique_ptr<Script>> start(const std::string& name, const Json& options);
  /// Ends it by SIGTERM and waits, as long as it takes to clean up.
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  /// The JSON object that it writes to stdout as one line. After Ctrl-C, which it is told once, it
  /// still has its say. Fails when it ends without.
  Result<Json> answer();
  bool alive();

 private:
  Script(std::string name, pid_t pid, FileDescriptor out)
      : name_(std::move(name)), pid_(pid), out_(std::move(out)) {}

  std::string name_;
  pid_t pid_;  ///< -1: it has ended
  FileDescriptor out_;
};

}  // namespace jvpn::perf
