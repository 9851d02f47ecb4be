// jvpnd PROFILE: SIGHUP reads the profile anew. Exit 0 after SIGTERM or SIGINT, 1 when the machine
// can't carry the gateway, 2 for a bad profile or command line.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "control/admin/profile_file.h"
#include "control/events/event_log.h"
#include "tools/jvpnd/gateway.h"
#include "tools/shared/cluster_files.h"
#include "tools/shared/command_tree.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/log_and_signals.h"
#include "tools/shared/no_memory.h"
#include "tools/shared/private_memory.h"

namespace jvpn {
namespace {

constexpr size_t kLogLines = 8'192;  ///< waiting for a slow reader; the oldest are lost beyond

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

std::atomic<bool> reload_requested{false};

void on_signal(int signal) {
  (signal == SIGHUP ? reload_requested : stop_requested).store(true, std::memory_order_relaxed);
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

/// Diagnostics to stderr, for people. A thread of its own writes them: the control core never waits
/// for a terminal or a pipe.
void open_log(const std::string& level) {
  spdlog::init_thread_pool(kLogLines, 1);
  spdlog::set_default_logger(spdlog::create_async_nb<spdlog::sinks::stderr_sink_mt>("jvpnd"));
  spdlog::set_pattern(kLogPattern);
  spdlog::set_level(spdlog::level::from_str(level));
}

struct Words {
  std::string profile;
  std::string level = "info";
  std::string sandbox = "enforce";
  bool check_only = false;
};

int run(const Words& words) {
  const std::string& profile = words.profile;
  const std::string unprotected = keep_memory_private();
  auto loaded = admin::load_gateway(profile);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return kBadProfile;
  }
  if (const auto reaches = check_cluster(*loaded); !reaches) {
    std::fprintf(stderr, "%s\n", reaches.error().message.c_str());
    return kBadProfile;
  }
  const std::string warning = admin::warning(loaded->profile);
  if (words.check_only && !warning.empty())
    std::fprintf(stderr, "%s: warning: %s\n", profile.c_str(), warning.c_str());
  if (words.check_only) return 0;
  catch_signals();
  open_log(words.level);
  if (!warning.empty()) spdlog::warn("{}", warning);
  if (!unprotected.empty()) spdlog::warn("{}", unprotected);
  events::EventLog events(events::event_options(
      loaded->profile, "jvpnd", [](const std::string& news) { spdlog::warn("{}", news); }));
  events.start();
  const auto done = run_gateway(std::move(loaded).value(), events, stop_requested, reload_requested,
                                sandbox::mode_of(words.sandbox));
  events.close();
  if (!done) spdlog::error("{}", done.error().message);
  spdlog::shutdown();
  return done ? 0 : kRuntimeFailure;
}

}  // namespace
}  // namespace jvpn

int main(int argc, char** argv) try {
  jvpn::end_by_name_without_memory();
  CLI::App app("The Jumping VPN gateway: DPDK workers and one control core.", "jvpnd");
  jvpn::Words words;
  app.add_option("PROFILE", words.profile, "YAML profile with role: gateway")->required();
  app.add_option("--log-level", words.level, "what goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}));
  app.set_version_flag("--version", std::string("jvpnd ") + JVPN_VERSION);
  app.add_option("--sandbox", words.sandbox, jvpn::sandbox::kHelp)
      ->check(CLI::IsMember(jvpn::sandbox::mode_words()));
  app.add_flag("--check", words.check_only, "only check the profile and its key files");
  if (jvpn::asks_for_tree(argc, argv)) {
    std::printf("%s\n", jvpn::command_tree(app).dump().c_str());
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return jvpn::run(words);
} catch (const std::exception& error) {
  std::fprintf(stderr, "jvpnd: %s\n", error.what());
  return 1;
}
