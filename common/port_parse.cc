// The `ports` section of a gateway's profile.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/profile_parts.h"

namespace jvpn {
namespace {

template <typename T>
std::vector<T> values_of(const std::vector<Located<T>>& located) {
  std::vector<T> values;
  values.reserve(located.size());
  for (const Located<T>& item : located) values.push_back(item.value);
  return values;
}

/// Reads one port after the other and remembers what only one of them may have.
class PortsReader {
 public:
  PortsReader(Findings& findings, size_t workers, std::vector<PortProfile>& ports)
      : workers_(workers),
        ports_(ports),
        names_(findings, "a name that no other port has"),
        devices_(findings, "a device that no other port has"),
        addresses_(findings, "an address that no other port has") {}

  void read(YamlMap& map) {
    PortProfile& port = ports_.emplace_back();
    if (map.required("name", name(31), port.name)) {
      names_.check(port.name, map.place("name"), map.key("name"));
    }
    device(map, port);
    const bool role = map.required(
        "role", one_of<PortRole>({{"outside", PortRole::kOutside}, {"inside", PortRole::kInside}}),
        port.role);
    roles_known_ &= role;
    map.optional("mtu", integer(1'280, 9'216), port.mtu);
    map.optional("queues", integer(0, workers_), port.queues);
    map.optional("rx_descriptors", power_of_two(64, 16'384), port.rx_descriptors);
    map.optional("tx_descriptors", power_of_two(64, 16'384), port.tx_descriptors);
    addresses(map, port);
    gateways(map, port);
    routes(map, port);
    neighbors(map, port);
    map.optional("answer_for_peers", boolean(), port.answer_for_peers);
    if (role && port.role == PortRole::kOutside && port.answer_for_peers)
      map.findings().add(map.place("answer_for_peers"), map.key("answer_for_peers"),
                         "false on a port with role: outside", "true");
  }

  /// A gateway needs ports of both roles. Silent while a role is unknown.
  void check_roles(YamlMap& root) const {
    constexpr std::array roles = {std::pair(PortRole::kOutside, "outside"),
                                  std::pair(PortRole::kInside, "inside")};
    if (ports_.empty() || !roles_known_) return;
    for (const auto& [role, word] : roles) {
      if (std::ranges::find(ports_, role, &PortProfile::role) != ports_.end()) continue;
      root.findings().add(root.place("ports"), root.key("ports"),
                          fmt::format("at least one port with role: {}", word), "none");
    }
  }

 private:
  void device(YamlMap& map, PortProfile& port) {
    const bool pci = map.optional("pci", pci_address(), port.pci);
    const bool vdev = map.optional("vdev", text(1'024), port.vdev);
    if (pci) devices_.check(port.pci, map.place("pci"), map.key("pci"));
    if (vdev) devices_.check(vdev_name(port.vdev), map.place("vdev"), map.key("vdev"));
    if (map.has("pci") && map.has("vdev")) {
      map.findings().add(map.place("vdev"), map.key("vdev"), "either pci or vdev", "both");
    }
    if (!map.has("pci") && !map.has("vdev")) {
      map.findings().add(map.place("pci"), map.key("pci"), "either pci or vdev", "neither");
    }
  }

  void addresses(YamlMap& map, PortProfile& port) {
    const auto listed = map.list("addresses", interface_address(), Need::kRequired, {1, 16});
    for (const auto& item : listed) {
      addresses_.check(to_string(item.value.address), item.place, item.key);
    }
    port.addresses = values_of(listed);
  }

  void gateways(YamlMap& map, PortProfile& port) {
    const auto listed = map.list("gateways", host_address(), Need::kOptional, {1, 2});
    UniqueValues families(map.findings(), "one gateway of each family");
    for (const auto& item : listed) {
      families.check(item.value.is_v4() ? "IPv4" : "IPv6", item.place, item.key);
      check_next_hop(map, port, item.value, item.place, item.key);
    }
    port.gateways = values_of(listed);
  }

  void routes(YamlMap& map, PortProfile& port) {
    UniqueValues destinations(map.findings(), "one route to each network");
    map.sections("routes", Need::kOptional, {0, 1'024}, [&](YamlMap& m) {
      PortRoute route;
      const bool to = m.required("to", network(), route.to);
      const bool via = m.required("via", host_address(), route.via);
      if (to) destinations.check(to_string(route.to), m.place("to"), m.key("to"));
      if (via) check_next_hop(map, port, route.via, m.place("via"), m.key("via"));
      if (to && via && route.to.address.family != route.via.family) {
        m.findings().add(m.place("via"), m.key("via"), "the family of the route's destination",
                         to_string(route.via));
      }
      port.routes.push_back(route);
    });
  }

  void neighbors(YamlMap& map, PortProfile& port) {
    UniqueValues addresses(map.findings(), "one link-layer address of each neighbour");
    map.sections("neighbors", Need::kOptional, {0, 1'024}, [&](YamlMap& m) {
      PortNeighbor neighbor;
      const bool address = m.required("address", host_address(), neighbor.address);
      m.required("mac", ethernet_address(), neighbor.mac);
      if (address) {
        addresses.check(to_string(neighbor.address), m.place("address"), m.key("address"));
        check_next_hop(map, port, neighbor.address, m.place("address"), m.key("address"));
      }
      port.neighbors.push_back(neighbor);
    });
  }

  /// A next hop must be a neighbour: on the link of one of the port's addresses, and not the port.
  static void check_next_hop(YamlMap& map, const PortProfile& port, const IpAddress& hop,
                             Place place, const std::string& key) {
    if (!map.findings().clean(map.key("addresses"))) return;
    const bool on_link = std::ranges::any_of(
        port.addresses, [&](const Prefix& own) { return own.contains(hop) && own.address != hop; });
    if (on_link) return;
    std::vector<std::string> links;
    for (const Prefix& own : port.addresses) links.push_back(to_string(own.network()));
    map.findings().add(place, key, fmt::format("a neighbour on {}", fmt::join(links, " or ")),
                       to_string(hop));
  }

  size_t workers_;
  std::vector<PortProfile>& ports_;
  UniqueValues names_;
  UniqueValues devices_;
  UniqueValues addresses_;
  bool roles_known_ = true;
};

}  // namespace

void read_ports(YamlMap& root, size_t workers, std::vector<PortProfile>& ports) {
  PortsReader reader(root.findings(), workers, ports);
  root.sections("ports", Need::kRequired, {1, kMaxPorts}, [&](YamlMap& map) { reader.read(map); });
  reader.check_roles(root);
}

}  // namespace jvpn
