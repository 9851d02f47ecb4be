// What programs on one event loop set up before they begin: diagnostics and signals.
#pragma once

#include <string>

#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "common/file_descriptor.h"

namespace jvpn {

inline constexpr const char* kLogPattern = "%Y-%m-%dT%H:%M:%S.%e %l %v";

/// Diagnostics go to stderr, for people, from the thread that has them.
inline void open_log(const std::string& program, const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt(program));
  spdlog::set_pattern(kLogPattern);
  spdlog::set_level(spdlog::level::from_str(level));
}

/// SIGTERM, SIGINT and SIGHUP come by this descriptor alone, a signalfd(2) that doesn't block, in
/// threads that begin later, too; SIGPIPE is ignored. None (errno): the kernel refused.
inline FileDescriptor open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return {};
  signal(SIGPIPE, SIG_IGN);  // a write to a connection that is gone is an error like any
  return FileDescriptor(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
}

}  // namespace jvpn
