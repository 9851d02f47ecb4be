// Peers: the `peers` section of a gateway's profile, and the `gateway` of a client's.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/profile_parts.h"

namespace jvpn {

bool read_file_reference(YamlMap& map, std::string_view name, Need need, FileReference& file) {
  const bool valid = need == Need::kRequired ? map.required(name, key_file_path(), file.path)
                                             : map.optional(name, key_file_path(), file.path);
  file.key = map.key(name);
  file.place = map.place(name);
  return valid;
}

namespace {

/// The peer's gateways: `endpoints` of the first, `cluster` has the others.
void read_gateways(YamlMap& map, Need endpoints, PeerProfile& peer, HostNames host_names) {
  UniqueValues seen(map.findings(), "each endpoint once");
  const auto read_endpoints = [&](YamlMap& of, Need need, std::vector<Endpoint>& into) {
    if (host_names == HostNames::kAllowed) {
      const GatewayNumber gateway{static_cast<uint8_t>(peer.cluster.size())};
      for (auto& item : of.list("endpoints", named_endpoint(), need, {1, kMaxEndpoints})) {
        const NamedEndpoint named{item.value.host, item.value.port, gateway};
        seen.check(item.value.address ? to_string(*item.value.address) : to_string(named),
                   item.place, item.key);
        if (item.value.address)
          into.push_back(*item.value.address);
        else
          peer.named.push_back(named);
      }
      return;
    }
    for (auto& item : of.list("endpoints", endpoint(), need, {1, kMaxEndpoints})) {
      seen.check(to_string(item.value), item.place, item.key);
      into.push_back(item.value);
    }
  };
  read_endpoints(map, map.has("cluster") ? Need::kRequired : endpoints, peer.endpoints);
  UniqueValues names(map.findings(), "a name that no other gateway of the cluster has");
  names.check(peer.name, map.place("name"), map.key("name"));
  size_t count = peer.endpoints.size();
  map.sections("cluster", Need::kOptional, {1, kMaxGateways - 1}, [&](YamlMap& other) {
    ClusterGateway& gateway = peer.cluster.emplace_back();
    if (other.required("name", name(63), gateway.name))
      names.check(gateway.name, other.place("name"), other.key("name"));
    read_endpoints(other, Need::kRequired, gateway.endpoints);
    count += gateway.endpoints.size();
  });
  count += peer.named.size();
  if (count <= kMaxEndpoints) return;
  map.findings().add(map.place("cluster"), map.key("cluster"),
                     fmt::format("at most {} endpoints of all gateways together", kMaxEndpoints),
                     fmt::format("{}", count));
}

}  // namespace

std::vector<GatewayEndpoint> gateway_endpoints(const PeerProfile& peer) {
  std::vector<GatewayEndpoint> all;
  GatewayNumber gateway;
  for (const Endpoint& each : peer.endpoints) all.push_back({each, gateway});
  for (const ClusterGateway& other : peer.cluster) {
    ++gateway.value;
    for (const Endpoint& each : other.endpoints) all.push_back({each, gateway});
  }
  return all;
}

std::vector<Endpoint> all_endpoints(const PeerProfile& peer) {
  std::vector<Endpoint> all;
  for (const GatewayEndpoint& each : gateway_endpoints(peer)) all.push_back(each.remote);
  return all;
}

std::string gateway_name(const PeerProfile& peer, const Endpoint& remote) {
  for (const GatewayEndpoint& each : gateway_endpoints(peer)) {
    if (each.remote != remote) continue;
    const size_t number = each.gateway.value;
    return number == 0 ? peer.name : peer.cluster[number - 1].name;
  }
  return {};
}

PeerProfile with_addresses(const PeerProfile& peer,
                           const std::vector<std::vector<IpAddress>>& found) {
  PeerProfile whole = peer;
  size_t count = all_endpoints(peer).size();
  for (size_t n = 0; n < std::min(found.size(), peer.named.size()); ++n) {
    const NamedEndpoint& named = peer.named[n];
    const size_t gateway = named.gateway.value;
    auto& into = gateway == 0 ? whole.endpoints : whole.cluster[gateway - 1].endpoints;
    for (const IpAddress& address : found[n]) {
      const Endpoint endpoint{address, named.port};
      if (count == kMaxEndpoints || !gateway_name(whole, endpoint).empty()) continue;
      into.push_back(endpoint);
      ++count;
    }
  }
  return whole;
}

std::string to_string(const NamedEndpoint& endpoint) {
  return fmt::format("{}:{}", endpoint.host, endpoint.port);
}

std::vector<Located<Prefix>> read_peer_body(YamlMap& map, Need endpoints, PeerProfile& peer,
                                            HostNames names) {
  map.required("public_key", public_key(), peer.public_key);
  FileReference preshared;
  if (read_file_reference(map, "preshared_key_file", Need::kOptional, preshared)) {
    peer.preshared_key_file = preshared;
  }
  auto allowed = map.list("allowed_ips", network(), Need::kRequired, {1, 1'024});
  for (const auto& item : allowed) peer.allowed_ips.push_back(item.value);
  read_gateways(map, endpoints, peer, names);
  return allowed;
}

void read_peers(YamlMap& root, uint32_t sessions, std::vector<PeerProfile>& peers) {
  UniqueValues names(root.findings(), "a name that no other peer has");
  UniqueValues keys(root.findings(), "a public key that no other peer has");
  UniqueValues prefixes(root.findings(), "a prefix that no other peer has");

  root.sections("peers", Need::kOptional, {0, kMaxPeers}, [&](YamlMap& map) {
    PeerProfile& peer = peers.emplace_back();
    if (map.required("name", name(63), peer.name)) {
      names.check(peer.name, map.place("name"), map.key("name"));
    }
    for (const auto& item : read_peer_body(map, Need::kOptional, peer)) {
      prefixes.check(to_string(item.value), item.place, item.key);
    }
    if (root.findings().clean(map.key("public_key"))) {
      keys.check(key_to_base64(peer.public_key), map.place("public_key"), map.key("public_key"));
    }
  });
  if (peers.size() > sessions) {
    root.findings().add(root.place("peers"), root.key("peers"),
                        fmt::format("at most {} peers (limits.sessions)", sessions),
                        fmt::format("{}", peers.size()));
  }
}

void read_enrolment(YamlMap& root, EnrolmentProfile& enrolment) {
  root.section("enrolment", Need::kOptional, [&](YamlMap& map) {
    if (map.optional("directory", text(1'024), enrolment.directory))
      enrolment.place = map.place("directory");
    const auto networks = [&](const char* key, std::vector<Prefix>& into) {
      UniqueValues seen(map.findings(), "each network once");
      for (const auto& item : map.list(key, network(), Need::kOptional, {1, 64})) {
        seen.check(to_string(item.value), item.place, item.key);
        into.push_back(item.value);
      }
    };
    networks("pool", enrolment.pool);
    enrolment.pool_place = map.place("pool");
    networks("routes", enrolment.routes);
    UniqueValues seen(map.findings(), "each endpoint once");
    for (const auto& item :
         map.list("endpoints", endpoint(), Need::kOptional, {1, kMaxEndpoints})) {
      seen.check(to_string(item.value), item.place, item.key);
      enrolment.endpoints.push_back(item.value);
    }
  });
}

}  // namespace jvpn
