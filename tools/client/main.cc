// jvpn-client PROFILE: exit 0 after SIGTERM or SIGINT, 1 when the host can't carry the tunnel, 2
// for a bad profile. jvpn-client --release PROFILE, or --release --interface NAME: opens a host
// that a client left closed. jvpn-client --import FILE: unpacks what jvpn peer add wrote.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <linux/capability.h>
#include <net/if.h>
#include <spdlog/spdlog.h>

#include "common/file_descriptor.h"
#include "control/admin/profile_file.h"
#include "control/events/event_log.h"
#include "tools/client/attendant/attendant.h"
#include "tools/client/attendant/dns_settings.h"
#include "tools/client/control/client.h"
#include "tools/client/control/import_bundle.h"
#include "tools/client/control/interface_name.h"
#include "tools/client/control/reach.h"
#include "tools/client/tunnel/kill_switch.h"
#include "tools/client/tunnel/tunnel_interface.h"
#include "tools/shared/command_tree.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/log_and_signals.h"
#include "tools/shared/no_memory.h"
#include "tools/shared/private_memory.h"
#include "tools/shared/sandbox/sandbox.h"

namespace jvpn::client {
namespace {

struct Words {
  std::string profile;
  std::string interface;
  std::string level = "info";
  std::string sandbox = "enforce";
  bool release = false;
  bool stay_closed = false;
  control::ImportOrder import;
};

/// What `jvpn up` calls the client of that profile.
std::string name_for_up(const std::string& profile) {
  const std::filesystem::path path(profile);
  return path.parent_path() == "/etc/jvpn" ? path.stem().string() : profile;
}

/// Makes a bundle this host's profile and keys.
int import(const control::ImportOrder& order) {
  if (const std::string refused = keep_memory_undumped(); !refused.empty())
    std::fprintf(stderr, "jvpn-client: warning: %s\n", refused.c_str());
  const auto profile = control::import_bundle(order);
  if (!profile) {
    std::fprintf(stderr, "%s\n", profile.error().message.c_str());
    return kBadProfile;
  }
  std::printf("%s and its keys are written; remove %s, and as root: jvpn up %s\n", profile->c_str(),
              order.file.c_str(), name_for_up(*profile).c_str());
  return 0;
}

/// What a crash has left of the host's name servers is set back. Not while the interface is there:
/// its client runs.
void set_names_back(const std::string& interface) {
  if (if_nametoindex(interface.c_str()) != 0) return;
  if (const auto undone = attendant::unset_dns(interface); !undone)
    std::fprintf(stderr, "jvpn-client: the host's name servers are not set back: %s\n",
                 undone.error().message.c_str());
}

/// What was routed into the tunnel goes its former way again.
int release(const Words& words) {
  const auto interface = words.interface.empty() ? control::read_interface_name(words.profile)
                                                 : Result<std::string>(words.interface);
  const auto checked =
      interface ? control::check_interface_name(*interface) : Result<void>(interface.error());
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return kBadProfile;
  }
  const auto released = tunnel::release_guards(*interface);
  if (!released) {
    std::fprintf(stderr, "%s\n", released.error().message.c_str());
    return kRuntimeFailure;
  }
  set_names_back(*interface);
  if (const auto opened = tunnel::remove_kill_switch(*interface); !opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return kRuntimeFailure;
  }
  std::printf("%s: %zu unreachable routes removed\n", interface->c_str(), *released);
  return 0;
}

/// After a failure.
void log_what_is_closed(const ClientProfile& profile, const std::string& profile_path) {
  const auto& gateway = profile.gateway;
  if (tunnel::host_is_closed(profile.interface.name, gateway.allowed_ips,
                             outer_endpoints(gateway, profile.fallback),
                             control::reach_of(profile)))
    spdlog::warn(
        "what the profile routes into the tunnel stays unreachable; `jvpn-client --release {}` "
        "opens it",
        profile_path);
  else
    spdlog::error(
        "NOT closed: unreachable routes or rules are missing, so what the profile routes into the "
        "tunnel may leave without it");
}

Result<ClientProfile> read_profile(const std::string& path) {
  const auto text = admin::read_text_file(path);
  return text ? parse_client_profile(*text, path) : Result<ClientProfile>(text.error());
}

/// The profile's attendant, if it needs one: before this process has read a key, or has threads.
Result<std::unique_ptr<attendant::Attendant>> start_attendant(const ClientProfile& profile,
                                                              const Words& words) {
  set_names_back(profile.interface.name);
  const attendant::Duty duty{profile.interface.name, profile.dns, profile.gateway.named,
                             profile.kill_switch};
  if (!duty.needed()) return std::unique_ptr<attendant::Attendant>();
  return attendant::Attendant::start(duty, words.sandbox != "off");
}

/// The kill switch's filter, as the profile has it: one of an earlier run goes, if it has none.
Result<void> close_host(const control::Client& client, const ClientProfile& profile) {
  const std::string& interface = profile.interface.name;
  if (const auto mark = client.kill_switch_mark()) return tunnel::set_kill_switch(interface, *mark);
  const auto removed = tunnel::remove_kill_switch(interface);
  return removed ? Result<void>{} : Result<void>(removed.error());
}

int run(const Words& words) {
  const std::string& profile_path = words.profile;
  const auto duties = read_profile(profile_path);
  if (!duties) {
    std::fprintf(stderr, "%s\n", duties.error().message.c_str());
    return kBadProfile;
  }
  auto attendant = start_attendant(*duties, words);
  if (!attendant) {
    std::fprintf(stderr, "jvpn-client: %s\n", attendant.error().message.c_str());
    return kRuntimeFailure;
  }
  const std::string unprotected = keep_memory_private();
  auto loaded = admin::load_client(profile_path);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return kBadProfile;
  }
  open_log("jvpn-client", words.level);
  if (!unprotected.empty()) spdlog::warn("{}", unprotected);
  const FileDescriptor signals = open_signals();
  if (!signals) {
    spdlog::error("signalfd: {}", std::strerror(errno));
    return kRuntimeFailure;
  }
  events::EventLog events(events::event_options(
      loaded->profile, "jvpn-client", [](const std::string& news) { spdlog::warn("{}", news); }));
  events.start();
  const ClientProfile profile = loaded->profile;
  auto client =
      control::Client::create(std::move(loaded).value(), events, std::move(attendant).value());
  if (client) {
    if (const auto closed = close_host(**client, profile); !closed) client = closed.error();
  }
  if (client) {
    // Routes, rules and the device; sockets that are bound to an interface; locked memory.
    const sandbox::Needs needs{.capabilities = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK},
                               .folders = sandbox::folders_of(profile)};
    const auto entered = sandbox::enter(sandbox::mode_of(words.sandbox), needs);
    if (!entered)
      client = Error{entered.error().message + sandbox::kRunWithout};
    else if (!entered->empty())
      spdlog::warn("{}", *entered);
  }
  const auto at_stop = words.stay_closed ? control::AtStop::kStayClosed : control::AtStop::kRelease;
  const auto done = client ? (*client)->run(signals.get(), at_stop) : Result<void>(client.error());
  events.close();
  if (done) return 0;
  spdlog::error("{}", done.error().message);
  log_what_is_closed(profile, profile_path);
  return kRuntimeFailure;
}

}  // namespace
}  // namespace jvpn::client

int main(int argc, char** argv) try {
  jvpn::end_by_name_without_memory();
  CLI::App app(
      "Keeps a Jumping VPN session with a gateway, over a TUN device and kernel UDP sockets.",
      "jvpn-client");
  app.set_version_flag("--version", std::string("jvpn-client ") + JVPN_VERSION);
  jvpn::client::Words words;
  auto* const profile = app.add_option("PROFILE", words.profile, "YAML profile with role: client");
  app.add_option("--log-level", words.level, "what goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}));
  app.add_option("--sandbox", words.sandbox, jvpn::sandbox::kHelp)
      ->check(CLI::IsMember(jvpn::sandbox::mode_words()));
  auto* const stay = app.add_flag("--stay-closed", words.stay_closed,
                                  "what the profile routes into the tunnel stays unreachable after "
                                  "SIGTERM, too, as it does after a crash");
  auto* const release =
      app.add_flag(
             "--release", words.release,
             "runs no client: opens a host that one left closed: unreachable routes, rules, the "
             "kill switch's table, name servers; of the profile it reads interface.name alone")
          ->excludes(stay);
  app.add_option("--interface", words.interface,
                 "the tunnel's device, for --release without a profile")
      ->needs(release)
      ->excludes(profile);
  auto* const import = app.add_option("--import", words.import.file,
                                      "runs no client: writes the profile and keys of this file, "
                                      "which jvpn peer add made, as NAME.yaml, NAME.key, NAME.psk")
                           ->excludes(profile)
                           ->excludes(release)
                           ->excludes(stay);
  app.add_option("--config-dir", words.import.directory, "where --import writes them")
      ->needs(import)
      ->capture_default_str();
  app.add_option(
         "--device", words.import.devices,
         "for --import: a device that leads out of this host, again for each; default: those "
         "of the default routes")
      ->allow_extra_args(false)
      ->needs(import);
  if (jvpn::asks_for_tree(argc, argv)) {
    std::printf("%s\n", jvpn::command_tree(app).dump().c_str());
    return 0;
  }
  try {
    app.parse(argc, argv);
    if (words.profile.empty() && words.interface.empty() && words.import.file.empty())
      throw CLI::RequiredError("PROFILE");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : jvpn::kBadUsage;
  }
  if (!words.import.file.empty()) return jvpn::client::import(words.import);
  return words.release ? jvpn::client::release(words) : jvpn::client::run(words);
} catch (const std::exception& error) {
  std::fprintf(stderr, "jvpn-client: %s\n", error.what());
  return 1;
}
