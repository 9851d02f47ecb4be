// jvpn: the operator's tool. Without a subcommand it shows the sessions.
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/jvpn/audit.h"
#include "tools/jvpn/check.h"
#include "tools/jvpn/events.h"
#include "tools/jvpn/jump.h"
#include "tools/jvpn/keys.h"
#include "tools/jvpn/orders.h"
#include "tools/jvpn/show.h"
#include "tools/jvpn/watch.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/no_memory.h"
#include "tools/shared/private_memory.h"

namespace jvpn {
namespace {

/// What the command line asks for: the options of all commands, and the command to run.
class CommandLine {
 public:
  CommandLine() {
    app_.add_option("--socket", socket_, "Admin socket of the running jvpnd or jvpn-client")
        ->capture_default_str()
        ->type_name("PATH");
    app_.add_flag("--json", as_json_, "Print JSON for programs instead of tables");
    app_.require_subcommand(0, 1);
    add_keys();
    add_views();
    add_orders();
    add_audit();
    add_check();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? 0 : kBadUsage;
    }
    return command_();
  }

 private:
  CLI::App* add(const char* name, const char* what, std::function<int()> command) {
    CLI::App* const added = app_.add_subcommand(name, what)->fallthrough();
    added->callback([this, command = std::move(command)] { command_ = command; });
    return added;
  }

  void add_keys() {
    add("genkey", "Print a new private key", run_genkey);
    add("pubkey", "Print the public key of the private key on standard input", run_pubkey);
    add("genpsk", "Print a new preshared key", run_genpsk);
  }

  void add_views() {
    add("show", "Show sessions, ports and drops (the default)",
        [this] { return run_show(socket_, as_json_); });

    auto* const watch = add("watch", "Show sessions again and again, until Ctrl-C", [this] {
      watch_.as_json = as_json_;
      watch_.interval = std::chrono::milliseconds(interval_ms_);
      return run_watch(socket_, watch_);
    });
    watch->add_option("--interval", interval_ms_, "Milliseconds from one to the next")
        ->capture_default_str()
        ->check(CLI::Range(100, 3'600'000));
    watch->add_option("--count", watch_.count, "So often, then end");

    auto* const events = add("events", "Show the latest events", [this] {
      events_.as_json = as_json_;
      return run_events(socket_, events_);
    });
    events->add_option("--lines", events_.lines, "So many of the latest")->capture_default_str();
    events->add_flag("-f,--follow", events_.follow, "Then those that come, until Ctrl-C");
    events->add_option("--session", events_.session, "Those of one: the first digits of its id");
  }

  void add_orders() {
    auto* const jump = add("jump", "Move a client's session to another underlay (jvpn-client)",
                           [this] { return run_jump(socket_, underlay_, as_json_); });
    jump->add_option("--underlay", underlay_, "Its name in the client's profile")->required();

    add("reload", "Read the program's profile again; exit 4: but for keys that need a restart",
        [this] { return run_reload(socket_, as_json_); });

    auto* const terminate = add("terminate", "End the session with a peer (jvpnd)",
                                [this] { return run_terminate(socket_, peer_, as_json_); });
    terminate->add_option("--peer", peer_, "Its name in the profile")->required();
  }

  void add_audit() {
    auto* const audit =
        add("audit", "Replay event logs; exit 1: broken, 3: events missing", [this] {
          audit_.as_json = as_json_;
          return run_audit(audit_);
        });
    audit->add_option("FILE", audit_.files, "Logs of one or more nodes; - is standard input")
        ->required();
    audit->add_flag("--partial", audit_.partial, "The logs may begin in the middle");
    audit->add_flag("--quiet", audit_.quiet, "No timelines: findings and verdict alone");
  }

  void add_check() {
    auto* const check = add("check", "Check a profile and its key files; exit 2: bad",
                            [this] { return run_check(profile_, as_json_); });
    check->add_option("PROFILE", profile_, "Of jvpnd or jvpn-client")->required();
  }

  CLI::App app_{"Operates Jumping VPN gateways and clients.", "jvpn"};
  std::function<int()> command_ = [this] { return run_show(socket_, as_json_); };
  std::string socket_ = "/run/jvpn/jvpnd.sock";
  bool as_json_ = false;
  unsigned interval_ms_ = 1'000;
  WatchCommand watch_;
  EventsCommand events_;
  AuditCommand audit_;
  std::string underlay_;
  std::string peer_;
  std::string profile_;
};

}  // namespace
}  // namespace jvpn

int main(int argc, char** argv) try {
  jvpn::end_by_name_without_memory();
  // genkey, pubkey, genpsk and check hold keys.
  if (const std::string refused = jvpn::keep_memory_undumped(); !refused.empty())
    std::fprintf(stderr, "jvpn: warning: %s\n", refused.c_str());
  return jvpn::CommandLine().run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "jvpn: %s\n", error.what());
  return 1;
}
