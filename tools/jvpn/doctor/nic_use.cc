#include "tools/jvpn/doctor/nic_use.h"

#include <sstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>

namespace jvpn::doctor {
namespace {

/// Of a full table, too. A line of one of the kernel's route tables begins or ends with the
/// interface's name.
bool has_route(const Host& host, const std::string& interface) {
  const auto begins = [&](const std::string& line) {
    std::istringstream words(line);
    std::string first;
    return words >> first && first == interface;
  };
  const auto ends = [&](const std::string& line) {
    std::istringstream words(line);
    std::string last;
    for (std::string word; words >> word;) last = word;
    return last == interface;
  };
  return host.any_line("/proc/net/route", begins) || host.any_line("/proc/net/ipv6_route", ends);
}

std::string interface_in_use(const Host& host, const AddressesOf& addresses,
                             const std::string& interface) {
  if (const auto all = addresses(interface); !all.empty())
    return fmt::format("{} has the address {} (ip addr flush dev {}, ip link set dev {} down)",
                       interface, all.front(), interface, interface);
  if (has_route(host, interface))
    return fmt::format("routes lead through {} (ip route flush dev {})", interface, interface);
  const std::string at = "/sys/class/net/" + interface;
  if (const std::string master = host.link_name(at + "/master"); !master.empty())
    return fmt::format("{} is part of {} (ip link set dev {} nomaster)", interface, master,
                       interface);
  for (const std::string& each : host.names(at))
    if (each.starts_with("upper_"))
      return fmt::format("{} carries {} (ip link delete {})", interface, each.substr(6),
                         each.substr(6));
  return {};
}

}  // namespace

std::vector<std::string> kernel_addresses(const std::string& interface) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {"that the kernel doesn't tell"};
  std::vector<std::string> found;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || interface != each->ifa_name) continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const void* const address =
        family == AF_INET ? static_cast<const void*>(
                                &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr)
                          : &reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr;
    char text[INET6_ADDRSTRLEN] = "?";
    inet_ntop(family, address, text, sizeof(text));
    found.emplace_back(text);
  }
  freeifaddrs(all);
  return found;
}

std::string nic_in_use(const Host& host, const AddressesOf& addresses, const std::string& pci) {
  const std::string at = "/sys/bus/pci/devices/" + pci;
  if (!host.line(at + "/class").starts_with("0x02")) return pci + " is no network card";
  const auto interfaces = host.names(at + "/net");
  const std::string driver = host.link_name(at + "/driver");
  // Drivers that hand devices to programs have no interfaces; virtio's are one folder below.
  if (interfaces.empty() && !driver.empty() && driver != "igb_uio" && driver != "uio_pci_generic")
    return fmt::format("{} has {}, and its interface isn't to be seen from here", driver, pci);
  for (const std::string& interface : interfaces)
    if (std::string why = interface_in_use(host, addresses, interface); !why.empty()) return why;
  return {};
}

}  // namespace jvpn::doctor
