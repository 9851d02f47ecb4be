#include "tools/client/attendant/dns_settings.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <sstream>

#include <sys/stat.h>

#include "control/admin/profile_file.h"
#include "control/files/whole_file.h"

namespace jvpn::client::attendant {
namespace {

constexpr std::chrono::seconds kPatience{10};  // resolvconf runs scripts of other packages
constexpr const char* kFolder = "/run/jvpn";
constexpr const char* kResolvedFolder = "/run/systemd/resolve";
constexpr const char* kEveryName = "~.";
constexpr mode_t kAllMayRead = 0644;

std::string mark_file(const std::string& interface) {
  return std::string(kFolder) + "/dns." + interface;
}
/// /etc/resolv.conf as it was before.
std::string saved_file(const std::string& interface) {
  return std::string(kFolder) + "/resolv." + interface;
}

std::string text_at(const std::string& path) {
  const auto text = admin::read_text_file(path);
  return text ? *text : std::string();
}

const char* name_of(DnsMethod method) {
  switch (method) {
    case DnsMethod::kResolved:
      return "resolvectl";
    case DnsMethod::kResolvconf:
      return "resolvconf";
    case DnsMethod::kNone:
      break;
  }
  return "none";
}

Result<void> run_all(const std::vector<Command>& commands) {
  for (const Command& command : commands)
    if (const auto done = run_command(command, kPatience); !done) return done.error();
  return {};
}

std::string own_record(const std::string& interface) {
  return resolvconf_record(interface, text_at("/etc/resolvconf/interface-order"));
}

/// What an earlier set_dns() has left word of.
std::optional<DnsMethod> method_in(const std::string& mark) {
  for (const DnsMethod each : {DnsMethod::kResolved, DnsMethod::kResolvconf})
    if (mark == name_of(each)) return each;
  return std::nullopt;
}

}  // namespace

DnsMethod find_dns_method() {
  std::error_code ignored;
  if (std::filesystem::is_directory(kResolvedFolder, ignored) && is_installed("resolvectl"))
    return DnsMethod::kResolved;
  return is_installed("resolvconf") ? DnsMethod::kResolvconf : DnsMethod::kNone;
}

std::string resolvconf_record(const std::string& interface, const std::string& order) {
  std::istringstream lines(order);
  for (std::string line; std::getline(lines, line);) {
    const bool pattern = line.size() > 1 && line.ends_with('*') &&
                         std::all_of(line.begin(), line.end() - 1, [](unsigned char each) {
                           return std::isalnum(each) != 0 || each == '-';
                         });
    if (pattern) return line.substr(0, line.size() - 1) + '.' + interface;
  }
  return interface;
}

std::vector<Command> commands_to_set(DnsMethod method, const std::string& interface,
                                     const std::string& record, const DnsProfile& dns) {
  const bool every_name =
      dns.domains.empty() || std::ranges::find(dns.domains, kEveryName) != dns.domains.end();
  if (method == DnsMethod::kResolved) {
    Command servers{{"resolvectl", "dns", interface}};
    for (const IpAddress& each : dns.servers) servers.words.push_back(to_string(each));
    Command domains{{"resolvectl", "domain", interface}};
    domains.words.insert(domains.words.end(), dns.domains.begin(), dns.domains.end());
    if (dns.domains.empty()) domains.words.emplace_back(kEveryName);
    return {servers,
            domains,
            {{"resolvectl", "default-route", interface, every_name ? "true" : "false"}}};
  }
  if (method == DnsMethod::kNone) return {};
  std::string text;
  for (const IpAddress& each : dns.servers) text += "nameserver " + to_string(each) + '\n';
  std::string search;
  for (const std::string& each : dns.domains)
    if (!each.starts_with('~')) search += ' ' + each;
  if (!search.empty()) text += "search" + search + '\n';
  return {{{"resolvconf", "-a", record, "-m", "0", "-x"}, text}};
}

std::vector<Command> commands_to_unset(DnsMethod method, const std::string& interface,
                                       const std::string& record) {
  if (method == DnsMethod::kResolved) return {{{"resolvectl", "revert", interface}}};
  if (method == DnsMethod::kNone) return {};
  return {{{"resolvconf", "-d", record, "-f"}}};
}

Result<void> set_dns(const std::string& interface, const DnsProfile& dns) {
  const DnsMethod method = find_dns_method();
  if (method == DnsMethod::kNone)
    return Error{
        "neither systemd-resolved runs nor resolvconf is installed, so the host's name servers "
        "stay as they are; install one of them (Debian: apt install systemd-resolved), or take "
        "dns out of the profile"};
  (void)mkdir(kFolder, 0755);
  if (method == DnsMethod::kResolvconf)
    (void)files::write_whole(saved_file(interface), text_at("/etc/resolv.conf"), kAllMayRead,
                             files::Existing::kReplace);
  // Before the first command: a crash in between is mended, too.
  if (auto marked = files::write_whole(mark_file(interface), name_of(method), kAllMayRead,
                                       files::Existing::kReplace);
      !marked)
    return marked;
  auto done = run_all(commands_to_set(method, interface, own_record(interface), dns));
  if (done) return done;
  (void)unset_dns(interface);
  return done;
}

Result<bool> unset_dns(const std::string& interface) {
  const std::string mark = text_at(mark_file(interface));
  if (mark.empty()) return false;
  const auto method = method_in(mark);
  auto done = method ? run_all(commands_to_unset(*method, interface, own_record(interface)))
                     : Result<void>{};
  // systemd-resolved forgets a device with the device.
  if (!done && method == DnsMethod::kResolved &&
      !std::filesystem::exists("/sys/class/net/" + interface))
    done = {};
  if (!done) return done.error();
  (void)files::remove_file(mark_file(interface));
  (void)files::remove_file(saved_file(interface));
  return true;
}

std::string own_servers_file(const std::string& interface) {
  std::error_code ignored;
  for (const std::string& each :
       {saved_file(interface), std::string(kResolvedFolder) + "/resolv.conf"})
    if (std::filesystem::exists(each, ignored)) return each;
  return "/etc/resolv.conf";
}

}  // namespace jvpn::client::attendant
