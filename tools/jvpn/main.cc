// jvpn: the operator's tool. Without a subcommand it shows the sessions.
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/jvpn/audit.h"
#include "tools/jvpn/events.h"
#include "tools/jvpn/jump.h"
#include "tools/jvpn/keys.h"
#include "tools/jvpn/show.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app("Operates Jumping VPN gateways and clients.", "jvpn");
  std::string socket = "/run/jvpn/jvpnd.sock";
  bool as_json = false;
  app.add_option("--socket", socket, "Admin socket of the running jvpnd or jvpn-client")
      ->capture_default_str()
      ->type_name("PATH");
  app.add_flag("--json", as_json, "Print JSON for programs instead of tables");
  app.require_subcommand(0, 1);

  const auto* const genkey = app.add_subcommand("genkey", "Print a new private key");
  const auto* const pubkey =
      app.add_subcommand("pubkey", "Print the public key of the private key on standard input");
  const auto* const genpsk = app.add_subcommand("genpsk", "Print a new preshared key");
  app.add_subcommand("show", "Show sessions, ports and drops (the default)")->fallthrough();
  auto* const jump =
      app.add_subcommand("jump", "Move a client's session to another underlay")->fallthrough();
  std::string underlay;
  jump->add_option("--underlay", underlay, "Its name in the client's profile")->required();

  auto* const audit =
      app.add_subcommand("audit", "Replay event logs; exit 1: broken, 3: events missing")
          ->fallthrough();
  jvpn::AuditCommand audit_command;
  audit
      ->add_option("FILE", audit_command.files,
                   "Event logs of one or more nodes; - is standard input")
      ->required();
  audit->add_flag("--partial", audit_command.partial, "The logs may begin in the middle");
  audit->add_flag("--quiet", audit_command.quiet, "No timelines, findings and verdict alone");

  auto* const events =
      app.add_subcommand("events", "Show the latest events of sessions, keys and policy")
          ->fallthrough();
  jvpn::EventsCommand events_command;
  events->add_option("--lines", events_command.lines, "So many of the latest")
      ->capture_default_str();
  events->add_flag("--follow,-f", events_command.follow, "Then all that come, until Ctrl-C");
  events->add_option("--session", events_command.session, "The first digits of a session's id");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (genkey->parsed()) return jvpn::run_genkey();
  if (pubkey->parsed()) return jvpn::run_pubkey();
  if (genpsk->parsed()) return jvpn::run_genpsk();
  if (jump->parsed()) return jvpn::run_jump(socket, underlay, as_json);
  if (events->parsed()) {
    events_command.as_json = as_json;
    return jvpn::run_events(socket, events_command);
  }
  if (audit->parsed()) {
    audit_command.as_json = as_json;
    return jvpn::run_audit(audit_command);
  }
  return jvpn::run_show(socket, as_json);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "jvpn: %s\n", error.what());
    return 1;
  }
}
