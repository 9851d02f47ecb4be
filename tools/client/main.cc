// jvpn-client PROFILE: exit 0 after SIGTERM or SIGINT, 1 when the host can't carry the tunnel, 2
// for a bad profile.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "common/file_descriptor.h"
#include "control/admin/profile_file.h"
#include "control/events/event_log.h"
#include "tools/client/control/client.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/private_memory.h"

namespace jvpn::client {
namespace {

// Blocks the signals that end the program, so that they come by the descriptor alone.
FileDescriptor open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return {};
  return FileDescriptor(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
}

// Diagnostics to stderr, for people.
void open_log(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("jvpn-client"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
}

int run(const std::string& profile_path, const std::string& level) {
  const std::string unprotected = keep_memory_private();
  auto loaded = admin::load_client(profile_path);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return kBadProfile;
  }
  open_log(level);
  if (!unprotected.empty()) spdlog::warn("{}", unprotected);
  const FileDescriptor signals = open_signals();
  if (!signals) {
    spdlog::error("signalfd: {}", std::strerror(errno));
    return kRuntimeFailure;
  }
  events::EventLog events(events::event_options(
      loaded->profile, "jvpn-client", [](const std::string& news) { spdlog::warn("{}", news); }));
  events.start();
  auto client = control::Client::create(std::move(loaded).value(), events);
  const auto done = client ? (*client)->run(signals.get()) : Result<void>(client.error());
  events.close();
  if (done) return 0;
  spdlog::error("{}", done.error().message);
  return kRuntimeFailure;
}

}  // namespace
}  // namespace jvpn::client

int main(int argc, char** argv) try {
  CLI::App app(
      "Keeps a Jumping VPN session with a gateway, over a TUN device and kernel UDP sockets.");
  std::string profile;
  std::string level = "info";
  app.add_option("PROFILE", profile, "YAML profile with role: client")->required();
  app.add_option("--log-level", level, "what goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : jvpn::kBadUsage;
  }
  return jvpn::client::run(profile, level);
} catch (const std::exception& error) {
  std::fprintf(stderr, "jvpn-client: %s\n", error.what());
  return 1;
}
