#include "tools/jvpn/client_profile.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "common/limits.h"
#include "tools/shared/peer_bundle.h"

namespace jvpn {
namespace {

std::vector<Endpoint> endpoints_for_clients(const GatewayProfile& gateway) {
  if (!gateway.enrolment.endpoints.empty()) return gateway.enrolment.endpoints;
  std::vector<Endpoint> endpoints;
  for (const PortProfile& port : gateway.ports) {
    if (port.role != PortRole::kOutside) continue;
    for (const Prefix& address : port.addresses)
      endpoints.push_back({address.address, gateway.listen_port});
  }
  endpoints.resize(std::min(endpoints.size(), kMaxEndpoints));
  return endpoints;
}

std::vector<Prefix> routes_for_clients(const GatewayProfile& gateway) {
  if (!gateway.enrolment.routes.empty()) return gateway.enrolment.routes;
  std::vector<Prefix> routes;
  const auto add = [&](const Prefix& route) {
    if (std::ranges::find(routes, route) == routes.end()) routes.push_back(route);
  };
  for (const PortProfile& port : gateway.ports) {
    if (port.role != PortRole::kInside) continue;
    for (const Prefix& address : port.addresses) add(address.network());
    for (const PortRoute& route : port.routes) add(route.to);
  }
  return routes;
}

template <typename Values>
std::string quoted_list(const Values& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const auto& each : values) texts.push_back(fmt::format("\"{}\"", to_string(each)));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

std::string client_profile_text(const GatewayProfile& gateway, const PublicKey& own,
                                const std::string& name, bool preshared) {
  std::string text = fmt::format(
      "# {0}'s end of the tunnel to {1}: as root, jvpn-client PROFILE. tools/profiles/client.yaml "
      "of the source has all keys.\n"
      "role: client\nnode: {0}\ninterface: {{name: jvpn0}}\n"
      "crypto: {{private_key_file: {2}, suites: [{3}]}}\n"
      "gateway:\n  name: {1}\n  public_key: {4}\n",
      name, gateway.node, private_key_file(name), to_string(gateway.crypto.suites.front()),
      key_to_base64(own));
  if (preshared) text += fmt::format("  preshared_key_file: {}\n", preshared_key_file(name));
  return text + fmt::format("  endpoints: {}\n  allowed_ips: {}\npolicy: {{version: 1}}\n",
                            quoted_list(endpoints_for_clients(gateway)),
                            quoted_list(routes_for_clients(gateway)));
}

}  // namespace jvpn
