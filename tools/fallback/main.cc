// jvpn-fallback: sessions over TCP, where a network lets no UDP pass. Exit 0 after SIGTERM or
// SIGINT, 1 when the host can't carry it, 2 for bad files or a bad command line.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "tools/fallback/server.h"
#include "tools/shared/command_tree.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/log_and_signals.h"
#include "tools/shared/no_memory.h"
#include "tools/shared/private_memory.h"
#include "tools/shared/sandbox/sandbox.h"

namespace jvpn::fallback {
namespace {

struct Words {
  std::vector<std::string> listen{"0.0.0.0:443", "[::]:443"};
  std::string gateway;
  uint32_t handshake_ms = 10'000;
  uint32_t idle_s = 300;
  uint32_t queue_kib = 256;
  std::string level = "info";
  std::string sandbox = "enforce";
};

/// Two for each connection, and its own.
Result<void> allow_descriptors(uint32_t connections) {
  const rlim_t wanted = 2 * rlim_t{connections} + 64;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno_error("descriptors");
  if (limit.rlim_cur >= wanted) return {};
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return Error{"--connections: expected LimitNOFILE= (ulimit -n) of at least " +
                 std::to_string(wanted) + ": " + std::strerror(errno)};
  return {};
}

Result<Endpoint> read_endpoint(const char* option, const std::string& text) {
  const auto endpoint = Endpoint::parse(text);
  if (endpoint && endpoint->port != 0) return *endpoint;
  return Error{std::string(option) + ": expected ADDRESS:PORT such as 192.0.2.1:443, got " + text};
}

Result<void> read_words(const Words& words, Options& options) {
  for (const std::string& each : words.listen) {
    const auto local = read_endpoint("--listen", each);
    if (!local) return local.error();
    options.listen.push_back(*local);
  }
  const auto gateway = read_endpoint("--gateway", words.gateway);
  if (!gateway) return gateway.error();
  options.gateway = *gateway;
  options.handshake = Millis{words.handshake_ms};
  options.idle = Millis{uint64_t{words.idle_s} * 1'000};
  options.queue_bytes = size_t{words.queue_kib} * 1'024;
  return {};
}

int refuse(const Error& error, int code) {
  std::fprintf(stderr, "jvpn-fallback: %s\n", error.message.c_str());
  return code;
}

int run(const Words& words, Options options) {
  if (const auto read = read_words(words, options); !read) return refuse(read.error(), kBadUsage);
  const std::string unprotected = keep_memory_undumped();
  auto credentials = load_credentials(options.certificate_file, options.key_file);
  if (!credentials) return refuse(credentials.error(), kBadProfile);
  open_log("jvpn-fallback", words.level);
  if (!unprotected.empty()) spdlog::warn("{}", unprotected);
  if (!credentials->warning.empty()) spdlog::warn("{}", credentials->warning);
  const std::string pin = credentials->public_key;
  if (const auto enough = allow_descriptors(options.connections); !enough)
    return refuse(enough.error(), kRuntimeFailure);
  const FileDescriptor signals = open_signals();
  if (!signals) return refuse(errno_error("signalfd"), kRuntimeFailure);
  auto server = Server::create(options, std::move(credentials).value());
  if (!server) return refuse(server.error(), kRuntimeFailure);
  const auto entered = sandbox::enter(sandbox::mode_of(words.sandbox), {});
  if (!entered)
    return refuse(Error{entered.error().message + sandbox::kRunWithout}, kRuntimeFailure);
  if (!entered->empty()) spdlog::warn("{}", *entered);
  spdlog::info("started: {} > {}, public key sha256 {}", fmt::join(words.listen, " "),
               words.gateway, pin);
  const auto done = (*server)->run(signals.get());
  return done ? 0 : refuse(done.error(), kRuntimeFailure);
}

void add_options(CLI::App& app, Words& words, Options& options) {
  app.add_option("--listen", words.listen, "where clients connect by TCP, again for each")
      ->allow_extra_args(false)
      ->capture_default_str();
  app.add_option("--gateway", words.gateway, "jvpnd's outside address and listen_port")->required();
  app.add_option("--certificate", options.certificate_file,
                 "PEM: the server's certificate, then those that vouch for it")
      ->required();
  app.add_option("--key", options.key_file, "PEM, mode 0600: the certificate's private key")
      ->required();
  app.add_option("--connections", options.connections, "most at once")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  app.add_option("--per-network", options.per_network, "most at once from one /24 or /48")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  app.add_option("--handshake-ms", words.handshake_ms,
                 "from its begin to the gateway's first answer")
      ->check(CLI::Range(100, 600'000))
      ->capture_default_str();
  app.add_option("--idle-s", words.idle_s, "longest without a datagram from the client")
      ->check(CLI::Range(10, 86'400))
      ->capture_default_str();
  app.add_option("--queue-kib", words.queue_kib,
                 "data that waits for one connection; more is dropped")
      ->check(CLI::Range(16, 16'384))
      ->capture_default_str();
  app.add_option("--log-level", words.level, "what goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}));
  app.add_option("--sandbox", words.sandbox, sandbox::kHelp)
      ->check(CLI::IsMember(sandbox::mode_words()));
}

}  // namespace
}  // namespace jvpn::fallback

int main(int argc, char** argv) try {
  jvpn::end_by_name_without_memory();
  CLI::App app(
      "Takes Jumping VPN sessions over TCP with TLS 1.3, where networks let no UDP pass, and hands "
      "their datagrams to a gateway.",
      "jvpn-fallback");
  app.set_version_flag("--version", std::string("jvpn-fallback ") + JVPN_VERSION);
  jvpn::fallback::Words words;
  jvpn::fallback::Options options;
  jvpn::fallback::add_options(app, words, options);
  if (jvpn::asks_for_tree(argc, argv)) {
    std::printf("%s\n", jvpn::command_tree(app).dump().c_str());
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : jvpn::kBadUsage;
  }
  return jvpn::fallback::run(words, options);
} catch (const std::exception& error) {
  std::fprintf(stderr, "jvpn-fallback: %s\n", error.what());
  return 1;
}
