#include "tools/jvpn/up.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <net/if.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/printable.h"
#include "control/admin/profile_file.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/client_process.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kBetweenShows{100};
constexpr std::chrono::seconds kEndPatience{10};
constexpr size_t kLinesShown = 5;
constexpr time_t kClockSlack = 86'400;

std::string takes_root(const std::string& order, const ClientName& who) {
  return fmt::format("{}a tunnel takes root: sudo jvpn {} {}", order.empty() ? order : order + ": ",
                     order.empty() ? "up" : order, who.name);
}

/// The exit code when there is none that this user can see, once it is said.
std::optional<int> no_profile(const ClientName& who) {
  std::error_code failed;
  if (fs::exists(who.profile, failed)) return std::nullopt;
  if (failed && geteuid() != 0) return complain(takes_root("up", who));
  complain(fmt::format(
      "there is no profile {}; jvpn-client --import FILE makes one of what jvpn peer add wrote",
      who.profile));
  return kBadProfile;
}

/// What this host lacks, as a person would mend it; empty: nothing.
std::vector<std::string> missing(const ClientName& who, const ClientProfile& profile) {
  std::vector<std::string> found;
  if (geteuid() != 0) found.push_back(takes_root("", who));
  const FileDescriptor tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun && errno == ENOENT)
    found.emplace_back("there is no /dev/net/tun: modprobe tun (a container needs the device)");
  else if (!tun && geteuid() == 0)
    found.push_back(std::string("/dev/net/tun can't be opened: ") + std::strerror(errno));
  if (if_nametoindex(profile.interface.name.c_str()) != 0)
    found.push_back(fmt::format(
        "interface {} is there: end what has it (jvpn down, or another program), or name another "
        "in interface.name of {}",
        profile.interface.name, who.profile));
  if (!profile.admin.socket.empty() && is_listened_at(profile.admin.socket))
    found.push_back(fmt::format(
        "another program listens at {}: jvpn down it, or name another in admin.socket of {}",
        profile.admin.socket, who.profile));
  for (const UnderlayProfile& each : profile.underlays)
    if (if_nametoindex(each.device.c_str()) != 0) return found;
  found.push_back(
      fmt::format("none of the underlays' devices is there: see underlays in {}", who.profile));
  return found;
}

/// A gateway takes no initiation that looks older than the one before.
std::optional<std::string> clock_trouble(const ClientName& who) {
  struct stat file {};
  if (stat(who.profile.c_str(), &file) != 0) return std::nullopt;
  const time_t now = std::time(nullptr);
  if (now >= file.st_mtime - kClockSlack) return std::nullopt;
  return fmt::format(
      "this host's clock says {:%Y-%m-%d}, but the profile was written on {:%Y-%m-%d}: set the "
      "clock, as "
      "gateways refuse what looks older than before",
      fmt::gmtime(now), fmt::gmtime(file.st_mtime));
}

/// Devices of other tunnels, which may have taken the default route.
std::string other_tunnels(const std::string& own) {
  std::string names;
  std::error_code failed;
  for (fs::directory_iterator at("/sys/class/net", failed), end; !failed && at != end;
       at.increment(failed)) {
    const std::string name = at->path().filename();
    const auto kind = admin::read_text_file(at->path() / "uevent");
    std::error_code ignored;
    const bool tunnel = fs::exists(at->path() / "tun_flags", ignored) ||
                        (kind && kind->find("DEVTYPE=wireguard") != std::string::npos);
    if (tunnel && name != own) names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

/// Why it isn't attached, from what it says of itself.
std::vector<std::string> reasons(const ClientName& who, const ClientProfile& profile,
                                 const std::optional<Json>& shown) {
  std::vector<std::string> found;
  if (shown) {
    for (const Json& each : field(*shown, "troubles"))
      if (each.is_string()) found.push_back(printable(each.get<std::string>()));
    for (const Json& path : field(*shown, "paths"))
      if (path.contains("why"))
        found.push_back(fmt::format("underlay {} to {}: {}", text_of(path, "underlay"),
                                    text_of(path, "remote"), text_of(path, "why")));
  }
  if (const auto clock = clock_trouble(who)) found.push_back(*clock);
  if (const std::string others = other_tunnels(profile.interface.name); !others.empty())
    found.push_back("other tunnels are up (" + others +
                    "): one of them may have the way to the gateway; take it down, or name the "
                    "device behind it in underlays");
  std::vector<std::string> once;
  for (std::string& each : found)
    if (std::ranges::find(once, each) == once.end()) once.push_back(std::move(each));
  return once;
}

bool attached(const Json& shown) {
  const Json& sessions = field(shown, "sessions");
  return std::ranges::any_of(sessions,
                             [](const Json& each) { return text_of(each, "state") == "ATTACHED"; });
}

std::string described(const ClientName& who, const Json& shown) {
  const Json& interface = field(shown, "interface");
  const Json& session = field(shown, "sessions")[0];
  std::string text = fmt::format("{} is up: {} {}, from {} to {}", who.name,
                                 text_of(interface, "name"), list_of(field(interface, "addresses")),
                                 text_of(session, "local"), text_of(session, "remote"));
  if (field(interface, "kill_switch") == true) text += ", kill switch on";
  return text + '\n';
}

/// A client on its way up.
class Ascent {
 public:
  Ascent(UpCommand command, ClientProcess& process, const ClientProfile& profile)
      : command_(std::move(command)), process_(process), profile_(profile) {}

  int climb() {
    if (const auto started = process_.start(); !started) {
      show_log();
      return fail({started.error().message});
    }
    if (command_.wait.count() == 0) return say(process_.who().name + " is started\n");
    const Clock::time_point until = Clock::now() + command_.wait;
    while (Clock::now() < until) {
      look();
      if (shown_ && attached(*shown_) && dns_settled()) return arrive();
      if (!process_.runs()) {
        show_log();
        return fail({"jvpn-client has ended"});
      }
      if (interrupt_.wait(kBetweenShows)) return fail({"interrupted"});
    }
    auto why = reasons(process_.who(), profile_, shown_);
    why.insert(why.begin(), fmt::format("not attached within {} s", command_.wait.count()));
    if (why.size() == 1) unanswered(why);
    return fail(why);
  }

 private:
  /// It has asked, and has no reason yet.
  void unanswered(std::vector<std::string>& why) const {
    if (shown_)
      for (const Json& path : field(*shown_, "paths"))
        why.push_back(
            fmt::format("no answer yet from {} by underlay {}: does a gateway run there, and does "
                        "UDP reach it?",
                        text_of(path, "remote"), text_of(path, "underlay")));
    if (why.size() == 1) show_log();
  }
  void look() {
    auto shown = ask_show(profile_.admin.socket);
    if (shown) shown_ = std::move(*shown);
  }
  bool dns_settled() const { return text_of(field(*shown_, "interface"), "dns") != "waiting"; }

  int arrive() {
    for (const Json& each : field(*shown_, "troubles"))
      if (each.is_string()) complain("warning: " + printable(each.get<std::string>()));
    return say(described(process_.who(), *shown_));
  }

  int say(const std::string& text) const {
    if (!command_.as_json) return print_text(text);
    return print_text(
        Json{{"name", process_.who().name}, {"up", true}, {"attached", shown_ && attached(*shown_)}}
            .dump() +
        '\n');
  }

  void show_log() const {
    for (const std::string& line : process_.last_lines(kLinesShown))
      std::fprintf(stderr, "%s\n", line.c_str());
  }

  int fail(const std::vector<std::string>& why) {
    for (const std::string& each : why) complain("up: " + each);
    const bool goes_on = command_.keep && process_.runs();
    if (goes_on) {
      complain("up: it goes on dialling; jvpn down " + process_.who().name + " ends it");
    } else {
      if (const auto stopped = process_.stop(kEndPatience); !stopped)
        complain(stopped.error().message);
      if (const auto released = process_.release(); !released)
        complain(released.error().message);
      else if (profile_.kill_switch)
        complain("up: the host is open, kill switch or not; with --keep it stays closed");
    }
    if (command_.as_json)
      print_text(Json{{"name", process_.who().name}, {"up", goes_on}, {"why", why}}.dump() + '\n');
    return 1;
  }

  UpCommand command_;
  ClientProcess& process_;
  const ClientProfile& profile_;
  std::optional<Json> shown_;
  Interrupt interrupt_;
};

int say_down(const std::string& name, bool as_json, bool was_up, const std::string& words) {
  if (as_json)
    return print_text(Json{{"name", name}, {"up", false}, {"was_up", was_up}}.dump() + '\n');
  return print_text(name + words + '\n');
}

}  // namespace

int run_up(const UpCommand& command) {
  auto who = find_client(command.client);
  if (!who) {
    complain(who.error().message);
    return kBadUsage;
  }
  ClientProcess process(*who);
  if (process.runs()) {
    complain(who->name + " is up already");
    return 0;
  }
  if (const auto none = no_profile(*who)) return *none;
  const auto loaded = admin::load_client(who->profile);
  if (!loaded && geteuid() != 0) return complain(takes_root("up", *who));  // it can't read the keys
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return kBadProfile;
  }
  const auto lacks = missing(*who, loaded->profile);
  for (const std::string& each : lacks) complain("up: " + each);
  if (!lacks.empty()) return 1;
  return Ascent(command, process, loaded->profile).climb();
}

int run_down(const std::string& client, bool as_json) {
  auto who = find_client(client);
  if (!who) {
    complain(who.error().message);
    return kBadUsage;
  }
  if (geteuid() != 0) return complain(takes_root("down", *who));
  ClientProcess process(*who);
  const auto stopped = process.stop(kEndPatience);
  if (!stopped) return complain(stopped.error().message);
  if (!*stopped) {
    if (const auto none = no_profile(*who)) return *none;
    const auto loaded = admin::load_client(who->profile);
    if (loaded && if_nametoindex(loaded->profile.interface.name.c_str()) != 0)
      return say_down(
          who->name, as_json, false,
          fmt::format(" was not started by jvpn up; whoever started the client of {} ends it",
                      loaded->profile.interface.name));
  }
  if (const auto released = process.release(); !released) return complain(released.error().message);
  return say_down(who->name, as_json, *stopped,
                  *stopped ? " is down" : " was not up; nothing of it is left");
}

}  // namespace jvpn
