// `gateway.fallback` of a client's profile: where the gateway is reached by TCP.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/profile_parts.h"

namespace jvpn {
namespace {

/// Never confidential: a public key's hash.
ScalarKind<std::array<uint8_t, 32>> public_key_hash() {
  return {"the SHA-256 of a public key, 32 bytes in base64, as jvpn-fallback says at its start",
          [](const YAML::Node& node) { return key_from_base64(node.Scalar()); }, true};
}

ScalarKind<std::string> host_name() {
  return {"a host's name as DNS has it", [](const YAML::Node& node) -> std::optional<std::string> {
            if (!is_host_name(node.Scalar())) return std::nullopt;
            return node.Scalar();
          }};
}

}  // namespace

void read_fallback(YamlMap& gateway, FallbackProfile& fallback) {
  gateway.section("fallback", Need::kOptional, [&](YamlMap& map) {
    UniqueValues endpoints(map.findings(), "each endpoint once");
    for (const auto& item :
         map.list("endpoints", endpoint(), Need::kRequired, {1, kMaxEndpoints})) {
      endpoints.check(to_string(item.value), item.place, item.key);
      fallback.endpoints.push_back(item.value);
    }
    const bool vouched = map.optional("ca_file", text(kLongestPath), fallback.ca_file.path);
    fallback.ca_file.key = map.key("ca_file");
    fallback.ca_file.place = map.place("ca_file");
    map.optional("server_name", host_name(), fallback.server_name);
    UniqueValues keys(map.findings(), "each public key once");
    for (const auto& item :
         map.list("public_key_sha256", public_key_hash(), Need::kOptional, {1, 8})) {
      keys.check(key_to_base64(item.value), item.place, item.key);
      fallback.public_keys.push_back(item.value);
    }
    const bool clean = map.findings().clean(map.key("ca_file")) &&
                       map.findings().clean(map.key("public_key_sha256"));
    if (clean && !vouched && fallback.public_keys.empty())
      map.findings().add(gateway.place("fallback"), gateway.key("fallback"),
                         "ca_file or public_key_sha256 in it, or anybody could be the server",
                         "neither");
    if (clean && !vouched && !fallback.server_name.empty())
      map.findings().add(map.place("server_name"), map.key("server_name"),
                         "ca_file beside it: a pinned key needs no name", fallback.server_name);
  });
}

std::vector<Endpoint> outer_endpoints(const PeerProfile& gateway, const FallbackProfile& fallback) {
  std::vector<Endpoint> all = all_endpoints(gateway);
  all.insert(all.end(), fallback.endpoints.begin(), fallback.endpoints.end());
  return all;
}

std::vector<GatewayEndpoint> path_gateways(const PeerProfile& gateway,
                                           const FallbackProfile& fallback) {
  std::vector<GatewayEndpoint> all = gateway_endpoints(gateway);
  for (const Endpoint& each : fallback.endpoints) all.push_back({each, GatewayNumber{}});
  return all;
}

std::string gateway_name(const PeerProfile& gateway, const FallbackProfile& fallback,
                         const Endpoint& remote) {
  std::string name = gateway_name(gateway, remote);
  const bool by_tcp = std::ranges::find(fallback.endpoints, remote) != fallback.endpoints.end();
  return name.empty() && by_tcp ? gateway.name : name;
}

}  // namespace jvpn
