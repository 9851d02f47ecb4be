// jvpn: the operator's tool. Without a subcommand it shows the sessions.
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/jvpn/audit.h"
#include "tools/jvpn/check.h"
#include "tools/jvpn/doctor/doctor.h"
#include "tools/jvpn/doctor/setup.h"
#include "tools/jvpn/drain.h"
#include "tools/jvpn/drops.h"
#include "tools/jvpn/events.h"
#include "tools/jvpn/health.h"
#include "tools/jvpn/jump.h"
#include "tools/jvpn/keys.h"
#include "tools/jvpn/metrics.h"
#include "tools/jvpn/misuse.h"
#include "tools/jvpn/orders.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/peer_orders.h"
#include "tools/jvpn/routes.h"
#include "tools/jvpn/save.h"
#include "tools/jvpn/show.h"
#include "tools/jvpn/show_peers.h"
#include "tools/jvpn/trace.h"
#include "tools/jvpn/up.h"
#include "tools/jvpn/watch.h"
#include "tools/shared/command_tree.h"
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
    app_.set_version_flag("--version", std::string("jvpn ") + JVPN_VERSION);
    app_.require_subcommand(0, 1);
    add_clients();
    add_keys();
    add_views();
    add_metrics();
    add_drops();
    add_routes();
    add_trace();
    add_orders();
    add_peer();
    add_audit();
    add_check();
    add_doctor();
  }

  int run(int argc, char** argv) {
    if (asks_for_tree(argc, argv)) return print_text(command_tree(app_).dump() + '\n');
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) return app_.exit(error);  // --help, --version
      complain(misuse(app_, error, argc, argv));
      return kBadUsage;
    }
    return command_();
  }

 private:
  CLI::App* add(const char* name, const char* what, std::function<int()> command) {
    CLI::App* const added = app_.add_subcommand(name, what)->fallthrough();
    added->callback([this, command = std::move(command)] { command_ = command; });
    return added;
  }

  void add_clients() {
    auto* const up = add("up", "Start a client of this host and wait until it is attached", [this] {
      up_.as_json = as_json_;
      up_.wait = std::chrono::seconds(up_wait_s_);
      return run_up(up_);
    });
    up->add_option("CLIENT", up_.client, "NAME, whose profile is /etc/jvpn/NAME.yaml, or a profile")
        ->required();
    up->add_option("--wait", up_wait_s_, "Seconds until it gives up waiting; 0: doesn't wait")
        ->capture_default_str()
        ->check(CLI::Range(0, 3'600));
    up->add_flag("--keep", up_.keep, "When it isn't attached by then, leave it dialling");
    auto* const down = add(
        "down", "End such a client; routes, rules, name servers and the kill switch are as before",
        [this] { return run_down(down_, as_json_); });
    down->add_option("CLIENT", down_, "As for up")->required();
  }

  void add_keys() {
    add("genkey", "Print a new private key", run_genkey);
    add("pubkey", "Print the public key of the private key on standard input", run_pubkey);
    add("genpsk", "Print a new preshared key", run_genpsk);
  }

  void add_views() {
    auto* const show = add("show", "Show peers, sessions, ports and drops (the default)", [this] {
      return form_.empty() ? run_show(socket_, as_json_) : run_dump(socket_);
    });
    show->add_option("FORM", form_, "dump: a line for each peer, with tabs, for scripts")
        ->check(CLI::Validator(
            [](std::string& form) {
              return form == "dump" ? std::string()
                                    : "expected dump or nothing, got " + form +
                                          ": jvpn show has all peers, jvpn peer show NAME has one";
            },
            "{dump}"));

    add("health", "Tell what is wrong with a gateway now; exit 6: something is (jvpnd)",
        [this] { return run_health(socket_, as_json_); });

    auto* const watch = add("watch", "Show sessions again and again, until Ctrl-C", [this] {
      watch_.as_json = as_json_;
      watch_.interval = std::chrono::milliseconds(interval_ms_);
      return run_watch(socket_, watch_);
    });
    watch->add_option("--interval", interval_ms_, "Milliseconds from one to the next")
        ->capture_default_str()
        ->check(CLI::Range(100, 3'600'000));
    watch->add_option("--count", watch_.count, "End after so many");

    auto* const events = add("events", "Show the latest events", [this] {
      events_.as_json = as_json_;
      return run_events(socket_, events_);
    });
    events->add_option("--lines", events_.lines, "So many of the latest")->capture_default_str();
    events->add_flag("-f,--follow", events_.follow, "Then those that come, until Ctrl-C");
    events->add_option("--session", events_.session, "Those of one: the first digits of its id");
  }

  void add_metrics() {
    auto* const metrics =
        add("metrics", "Export metrics for Prometheus, and serve the console, until Ctrl-C",
            [this] { return run_metrics(socket_, metrics_); });
    metrics
        ->add_option("--listen", metrics_.listen,
                     "Serve http://ADDRESS:PORT/metrics, and the console at /")
        ->capture_default_str()
        ->type_name("ADDRESS:PORT");
    metrics->add_option("--name", metrics_.names,
                        "Answer under this name, too, as a Prometheus calls it; may be repeated");
    metrics->add_flag("--once", metrics_.once, "Print them and end");
    metrics->add_flag("--list", metrics_.list, "Print the table of all metrics and end");
  }

  void add_routes() {
    auto* const routes =
        add("routes", "List the prefixes of the sessions that jvpnd carries now", [this] {
          routes_.as_json = as_json_;
          return run_routes(socket_, routes_);
        });
    auto* const follow = routes->add_flag("-f,--follow", routes_.follow,
                                          "Then each change, until Ctrl-C: for a routing daemon");
    routes->add_flag("--retry", routes_.retry, "Wait for the gateway when it is gone, and go on")
        ->needs(follow);
    auto* const table =
        routes
            ->add_option("--kernel-table", routes_.kernel_table,
                         "Fill this routing table with them (unreachable routes, protocol 74)")
            ->check(CLI::Range(1U, 252U) | CLI::Range(256U, UINT32_MAX))
            ->type_name("NUMBER");
    routes
        ->add_flag("--release", routes_.release, "Take away what a follower has left in the table")
        ->needs(table)
        ->excludes(follow);
  }

  void add_drops() {
    auto* const drops =
        add("drops", "Show dropped packets by name, with what the names mean", [this] {
          return run_drops(socket_, {explain_, explained_, as_json_});
        });
    drops->add_flag("--explain", explain_, "Explain names, and what to do about each");
    drops->add_option("NAME", explained_, "Those to explain; default: all of them");
  }

  void add_trace() {
    auto* const trace =
        add("trace", "Tell what happens to the next packets of one session, stage by stage (jvpnd)",
            [this] {
              trace_.as_json = as_json_;
              trace_.time = std::chrono::seconds(trace_s_);
              return run_trace(socket_, trace_);
            });
    trace->add_option("--session", trace_.session, "The first digits of its id")->required();
    trace->add_option("--count", trace_.count, "End after so many packets")
        ->capture_default_str()
        ->check(CLI::Range(1, 1'024));
    trace->add_option("--time", trace_s_, "End after so many seconds")
        ->capture_default_str()
        ->check(CLI::Range(1, 300));
  }

  void add_orders() {
    auto* const jump = add("jump", "Move a client's session to another underlay (jvpn-client)",
                           [this] { return run_jump(socket_, underlay_, as_json_); });
    jump->add_option("--underlay", underlay_, "Its name in the client's profile")->required();

    add("reload", "Read the program's profile again; exit 4: done, but some keys need a restart",
        [this] { return run_reload(socket_, as_json_); });

    add("sync", "Make the running gateway what its files say; nothing else of it is touched",
        [this] { return run_reload(socket_, as_json_); });

    add("save", "Compare the running gateway with its files, which have all of it; exit 1: differ",
        [this] { return run_save(socket_, as_json_); });

    auto* const terminate = add("terminate", "End the session with a peer (jvpnd)",
                                [this] { return run_terminate(socket_, peer_, as_json_); });
    terminate->add_option("--peer", peer_, "Its name in the profile")->required();

    auto* const drain =
        add("drain",
            "Hand all sessions over to the cluster's other gateways (jvpnd); exit 1: some stay",
            [this] {
              drain_.as_json = as_json_;
              drain_.wait = std::chrono::seconds(drain_wait_s_);
              return run_drain(socket_, drain_);
            });
    drain->add_flag("--undo", drain_.undo, "Take sessions again");
    drain->add_option("--wait", drain_wait_s_, "Seconds until it gives up waiting; 0: never")
        ->capture_default_str()
        ->check(CLI::Range(0, 86'400));
  }

  /// One of `jvpn peer`: what all of them are given.
  CLI::App* add_to_peer(CLI::App* peer, const char* name, const char* what,
                        std::function<int()> command) {
    CLI::App* const added = peer->add_subcommand(name, what)->fallthrough();
    added->callback([this, command = std::move(command)] {
      of_peer_.socket = socket_;
      of_peer_.as_json = as_json_;
      command_ = command;
    });
    added->add_option("--profile", of_peer_.profile,
                      "The gateway's profile; default: the running gateway's, else "
                      "/etc/jvpn/jvpnd.yaml");
    if (std::string_view(name) != "list")
      added->add_option("NAME", of_peer_.name, "The peer's")->required();
    return added;
  }

  void add_peer() {
    auto* const peer = app_.add_subcommand(
        "peer",
        "Add, remove, switch and list peers; exit 5: done, but no gateway runs to apply it");
    peer->fallthrough()->require_subcommand(1);
    auto* const added = add_to_peer(
        peer, "add",
        "Enrol a client: keys, address, its file, and a bundle for jvpn-client --import",
        [this] { return run_peer_add(of_peer_, addition_); });
    added
        ->add_option("--allowed-ips", addition_.allowed_ips,
                     "Networks that the peer may use; default: free addresses of enrolment.pool")
        ->delimiter(',')
        ->allow_extra_args(false);
    added->add_option("--endpoint", addition_.endpoints, "Where the gateway dials the peer")
        ->delimiter(',')
        ->allow_extra_args(false);
    added->add_option("--public-key", addition_.public_key,
                      "Of a client that keeps its private key to itself");
    added->add_option("--out", addition_.out,
                      "The bundle's file or folder; default: NAME.jvpn in this folder");
    added->add_flag("--qr", addition_.qr, "Draw the bundle on this terminal, too");
    add_to_peer(peer, "remove", "End its session and remove its files",
                [this] { return run_peer_remove(of_peer_); });
    add_to_peer(peer, "disable", "End its session; it keeps its keys and addresses",
                [this] { return run_peer_disable(of_peer_); });
    add_to_peer(peer, "enable", "Let it in again", [this] { return run_peer_enable(of_peer_); });
    add_to_peer(peer, "list", "List the peers of the profile and its folder",
                [this] { return run_peer_list(of_peer_); });
    add_to_peer(peer, "show", "What the files say of one",
                [this] { return run_peer_show(of_peer_); });
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
    const auto run = [this] {
      if (profile_.empty() && schema_.empty()) {
        complain("check: PROFILE is required");
        return kBadUsage;
      }
      return schema_.empty() ? run_check(profile_, as_json_) : run_schema(schema_);
    };
    auto* const check = add("check", "Check a profile and its key files; exit 2: bad", run);
    auto* const schema =
        check->add_option("--schema", schema_, "Print the JSON schema of such profiles instead")
            ->check(CLI::IsMember({"gateway", "client"}))
            ->type_name("ROLE");
    check->add_option("PROFILE", profile_, "Of jvpnd or jvpn-client")->excludes(schema);
  }

  void add_doctor() {
    const auto profile = [this](CLI::App* command) {
      command->add_option(
          "PROFILE", machine_.profile,
          "Whose needs are looked at; default: /etc/jvpn/jvpnd.yaml, if it is there");
    };
    profile(
        add("doctor",
            "Tell what of this machine a gateway or client lacks, and the command that mends it; "
            "exit 6: something is missing",
            [this] { return doctor::run_doctor(machine_.profile, as_json_); }));
    auto* const setup = add("setup", "Do what doctor names: hugepages, vfio-pci, the NICs' drivers",
                            [this] { return doctor::run_setup(machine_, as_json_); });
    profile(setup);
    auto* const yes = setup->add_flag("--yes", machine_.yes, "Ask nothing");
    setup->add_flag("--script", machine_.script, "Do nothing, print it as a shell script")
        ->excludes(yes);
  }

  CLI::App app_{"Operates Jumping VPN gateways and clients.", "jvpn"};
  std::function<int()> command_ = [this] { return run_show(socket_, as_json_); };
  std::string socket_ = "/run/jvpn/jvpnd.sock";
  bool as_json_ = false;
  unsigned interval_ms_ = 1'000;
  WatchCommand watch_;
  EventsCommand events_;
  MetricsCommand metrics_;
  RoutesCommand routes_;
  AuditCommand audit_;
  std::string underlay_;
  std::string peer_;
  std::string form_;
  PeerCommand of_peer_;
  PeerAddition addition_;
  TraceCommand trace_;
  unsigned trace_s_ = 10;
  DrainCommand drain_;
  bool explain_ = false;
  std::vector<std::string> explained_;
  unsigned drain_wait_s_ = 60;
  std::string profile_;
  std::string schema_;
  UpCommand up_;
  unsigned up_wait_s_ = 20;
  std::string down_;
  doctor::SetupCommand machine_;
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
