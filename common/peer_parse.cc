// Peers: the `peers` section of a gateway's profile, and the `gateway` of a client's.
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

std::vector<Located<Prefix>> read_peer_body(YamlMap& map, Need endpoints, PeerProfile& peer) {
  map.required("public_key", public_key(), peer.public_key);
  FileReference preshared;
  if (read_file_reference(map, "preshared_key_file", Need::kOptional, preshared)) {
    peer.preshared_key_file = preshared;
  }
  auto allowed = map.list("allowed_ips", network(), Need::kRequired, {1, 1'024});
  for (const auto& item : allowed) peer.allowed_ips.push_back(item.value);
  UniqueValues seen(map.findings(), "each endpoint once");
  for (auto& item : map.list("endpoints", endpoint(), endpoints, {1, 16})) {
    seen.check(to_string(item.value), item.place, item.key);
    peer.endpoints.push_back(item.value);
  }
  return allowed;
}

void read_peers(YamlMap& root, uint32_t sessions, std::vector<PeerProfile>& peers) {
  UniqueValues names(root.findings(), "a name that no other peer has");
  UniqueValues keys(root.findings(), "a public key that no other peer has");
  UniqueValues prefixes(root.findings(), "a prefix that no other peer has");

  root.sections("peers", Need::kRequired, {0, kMaxPeers}, [&](YamlMap& map) {
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

}  // namespace jvpn
