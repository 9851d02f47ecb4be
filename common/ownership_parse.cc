// The `ownership` section: the store that several gateways share.
#include <optional>
#include <string>
#include <string_view>

#include "common/profile_parts.h"

namespace jvpn {
namespace {

constexpr size_t kMostEndpoints = 16;
constexpr size_t kLongestEndpoint = 255;
constexpr uint64_t kLeastSafeMs = 500;  // ten beats of 50 ms
constexpr uint64_t kMostSafeMs = 60'000;

/// Records go in the clear over http://, and whoever can change them ends sessions.
ScalarKind<std::string> etcd_endpoint() {
  return {"https://ADDRESS:PORT, or http://127.0.0.1:PORT where etcd is on this machine",
          [](const YAML::Node& node) -> std::optional<std::string> {
            const std::string& text = node.Scalar();
            const bool safe = text.starts_with("https://") || text.starts_with("http://127.") ||
                              text.starts_with("http://[::1]:");
            return safe && text.size() <= kLongestEndpoint ? std::optional(text) : std::nullopt;
          }};
}

void read_etcd(YamlMap& map, EtcdProfile& etcd) {
  UniqueValues seen(map.findings(), "each endpoint once");
  for (const auto& item :
       map.list("endpoints", etcd_endpoint(), Need::kRequired, {1, kMostEndpoints})) {
    seen.check(item.value, item.place, item.key);
    etcd.endpoints.push_back(item.value);
  }
  etcd.place = map.place("endpoints");
  map.optional("prefix", name(63), etcd.prefix);
  map.optional("ca_file", text(kLongestPath), etcd.ca_file);
  map.optional("certificate_file", text(kLongestPath), etcd.certificate_file);
  map.optional("key_file", key_file_path(), etcd.key_file);
}

}  // namespace

void read_ownership(YamlMap& root, OwnershipProfile& ownership) {
  root.section("ownership", Need::kOptional, [&](YamlMap& map) {
    map.section("etcd", Need::kRequired,
                [&](YamlMap& etcd) { read_etcd(etcd, ownership.etcd.emplace()); });
    map.optional("safe_time_ms", integer(kLeastSafeMs, kMostSafeMs), ownership.safe_time);
  });
}

}  // namespace jvpn
