#include "common/profile.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/nearest.h"
#include "common/profile_parts.h"
#include "common/yaml_reader.h"

namespace jvpn {
namespace {

ScalarKind<Suite> suite() {
  std::vector<std::pair<std::string, Suite>> choices;
  for (const Suite s : {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305}) {
    choices.emplace_back(to_string(s), s);
  }
  return one_of(std::move(choices));
}

void read_crypto(YamlMap& root, CryptoProfile& crypto) {
  root.section("crypto", Need::kRequired, [&](YamlMap& map) {
    read_file_reference(map, "private_key_file", Need::kRequired, crypto.private_key_file);
    const auto suites = map.list("suites", suite(), Need::kOptional, {1, 3});
    if (!suites.empty()) crypto.suites.clear();
    UniqueValues seen(map.findings(), "each suite once");
    for (const auto& item : suites) {
      seen.check(to_string(item.value), item.place, item.key);
      crypto.suites.push_back(item.value);
    }
    map.optional("rekey_after_ms", integer(1'000, 120'000), crypto.rekey_after);
    map.optional("rekey_after_packets", integer(1'000, uint64_t{1} << 28),
                 crypto.rekey_after_packets);
    map.optional("key_log_file", text(kLongestPath), crypto.key_log_file.path);
    crypto.key_log_file.key = map.key("key_log_file");
    crypto.key_log_file.place = map.place("key_log_file");
  });
}

void read_admin(YamlMap& root, std::string_view socket, AdminProfile& admin) {
  admin.socket = socket;
  root.section("admin", Need::kOptional, [&](YamlMap& map) {
    map.required("socket", text(kLongestSocketPath), admin.socket);
    admin.place = map.place("socket");
  });
}

void read_cores(YamlMap& root, CoresProfile& cores) {
  const auto cpu = integer(0, 1'023);
  root.section("cores", Need::kRequired, [&](YamlMap& map) {
    map.optional("control", cpu, cores.control);
    const auto workers = map.list("workers", cpu, Need::kRequired, {1, kMaxWorkers});
    for (const auto& item : workers) cores.workers.push_back(static_cast<uint32_t>(item.value));
    map.optional("idle",
                 one_of<IdleMode>({{"poll", IdleMode::kPoll}, {"adaptive", IdleMode::kAdaptive}}),
                 cores.idle);
    const bool polls = cores.idle == IdleMode::kPoll && map.findings().clean(map.key("idle"));
    for (const auto& item : workers) {
      if (!polls || item.value != cores.control) continue;
      map.findings().add(
          item.place, item.key,
          "another core than cores.control, as a worker that polls leaves it no time "
          "(or idle: adaptive)",
          fmt::format("{}", item.value));
    }
    map.optional("burst", integer(1, kMaxBurst), cores.tuning.burst);
    map.optional("prefetch_ahead", integer(0, kMaxAhead), cores.tuning.prefetch_ahead);
  });
}

void read_memory(YamlMap& root, MemoryProfile& memory) {
  root.section("memory", Need::kOptional, [&](YamlMap& map) {
    map.optional("hugepages", boolean(), memory.hugepages);
    if (map.optional("attachable", boolean(), memory.attachable) && memory.attachable &&
        !memory.hugepages)
      map.findings().add(map.place("attachable"), map.key("attachable"),
                         "hugepages: true with it, as tools attach to these", "false");
    map.optional("megabytes", integer(64, 1'048'576), memory.megabytes);
  });
}

void read_limits(YamlMap& root, LimitsProfile& limits) {
  root.section("limits", Need::kOptional, [&](YamlMap& map) {
    map.optional("sessions", integer(1, kMaxPeers), limits.sessions);
    map.optional("mbufs", integer(1'024, 1 << 24), limits.mbufs);
    map.optional("control_mbufs", integer(256, 1 << 20), limits.control_mbufs);
    map.optional("hold_packets", integer(0, 1 << 20), limits.hold_packets);
    map.optional("control_ring", power_of_two(16, 1 << 16), limits.control_ring);
    map.optional("handoff_ring", power_of_two(16, 1 << 16), limits.handoff_ring);
    map.optional("handshakes_per_s", integer(1, 1'000'000), limits.handshakes_per_s);
  });
}

/// Each worker holds its part of a session's bytes, so that has to take the largest packet.
void check_hold_bytes(YamlMap& root, const GatewayProfile& profile, Place place) {
  constexpr const char* kKey = "policy.switching.hold_bytes";
  const auto& switching = profile.policy.switching;
  const uint32_t workers = static_cast<uint32_t>(std::max<size_t>(profile.cores.workers.size(), 1));
  uint32_t mtu = 0;
  for (const PortProfile& port : profile.ports) mtu = std::max<uint32_t>(mtu, port.mtu);
  const uint32_t least = workers * (mtu + kHoldEntryBytes);
  if (!root.findings().clean(kKey) || !switching.holds() || switching.hold_bytes >= least) return;
  root.findings().add(place, kKey,
                      fmt::format("0, or at least {}: one packet of {} bytes with {} for its entry "
                                  "at each of the {} workers",
                                  least, mtu, kHoldEntryBytes, workers),
                      fmt::format("{}", switching.hold_bytes));
}

/// A policy that holds packets needs room for them, which is there from the start or not at all.
void check_hold(YamlMap& root, const GatewayProfile& profile, Place place) {
  constexpr const char* kKey = "policy.switching.hold_ms";
  const Millis hold = profile.policy.switching.hold;
  const bool sound = root.findings().clean(kKey) && root.findings().clean("limits.hold_packets");
  if (!sound || hold == Millis{0} || profile.limits.hold_packets != 0) return;
  root.findings().add(place, kKey,
                      "0, or limits.hold_packets beside it: how many packets each worker may hold",
                      fmt::format("{}", hold.value));
}

void read_state(YamlMap& root, StateProfile& state) {
  if (!root.optional("state_dir", text(1'024), state.directory)) return;
  state.place = root.place("state_dir");
  if (state.directory == "none") state.directory.clear();
}

/// Peers' addresses are no LAN host's, but where the gateway answers there for its peers.
void check_pool(YamlMap& root, const GatewayProfile& profile) {
  if (!root.findings().clean("ports") || !root.findings().clean("enrolment")) return;
  for (const Prefix& pool : profile.enrolment.pool) {
    for (const PortProfile& port : profile.ports) {
      if (port.answer_for_peers) continue;
      for (const Prefix& address : port.addresses) {
        const bool overlaps = pool.contains(address.address) || address.contains(pool.address);
        if (!overlaps) continue;
        root.findings().add(profile.enrolment.pool_place, "enrolment.pool",
                            fmt::format("a network beside {} of port {}, or answer_for_peers there",
                                        to_string(address.network()), port.name),
                            to_string(pool));
        return;
      }
    }
  }
}

void read_gateway(YamlMap& root, GatewayProfile& profile) {
  root.required("node", name(63), profile.node);
  read_state(root, profile.state);
  read_ownership(root, profile.ownership);
  read_cores(root, profile.cores);
  read_memory(root, profile.memory);
  for (auto& item : root.list("eal_args", text(1'024), Need::kOptional, {0, 64})) {
    profile.eal_args.push_back(std::move(item.value));
  }
  root.optional("listen_port", integer(1, UINT16_MAX), profile.listen_port);
  // When the workers are wrong there is a finding already.
  const bool known = !profile.cores.workers.empty() && root.findings().clean("cores.workers");
  const size_t workers = known ? profile.cores.workers.size() : kMaxWorkers;
  read_ports(root, workers, profile.ports);
  read_crypto(root, profile.crypto);
  if (root.optional("lanes", integer(0, kMaxLanes), profile.lanes) && known &&
      profile.lanes % workers != 0) {
    root.findings().add(
        root.place("lanes"), "lanes",
        fmt::format("a multiple of the {} workers, as each has lanes of its own", workers),
        fmt::format("{}", profile.lanes));
  }
  read_limits(root, profile.limits);
  read_peers(root, profile.limits.sessions, profile.peers);
  read_enrolment(root, profile.enrolment);
  check_pool(root, profile);
  const PolicyPlaces places = read_policy(root, ProfileRole::kGateway, profile.policy);
  profile.policy_version = places.version;
  check_hold(root, profile, places.hold);
  check_hold_bytes(root, profile, places.hold_bytes);
  read_admin(root, "/run/jvpn/jvpnd.sock", profile.admin);
  read_events(root, profile.events);
}

void read_interface(YamlMap& root, InterfaceProfile& interface) {
  root.section("interface", Need::kOptional, [&](YamlMap& map) {
    map.optional("name", name(15), interface.name);
    map.optional("mtu", integer(1'280, 9'216), interface.mtu);
  });
}

void read_underlays(YamlMap& root, std::vector<UnderlayProfile>& underlays) {
  UniqueValues names(root.findings(), "a name that no other underlay has");
  UniqueValues paths(root.findings(), "a device and source that no other underlay has");
  root.sections("underlays", Need::kRequired, {1, 16}, [&](YamlMap& map) {
    UnderlayProfile& underlay = underlays.emplace_back();
    if (map.required("name", name(31), underlay.name)) {
      names.check(underlay.name, map.place("name"), map.key("name"));
    }
    const bool device = map.required("device", name(15), underlay.device);
    map.optional("source", host_address(), underlay.source);
    if (!device || !map.findings().clean(map.key("source"))) return;
    const std::string source = to_string(underlay.source.value_or(IpAddress{}));
    paths.check(fmt::format("{} from {}", underlay.device, source), map.place("device"),
                map.key("device"));
  });
}

void read_dns(YamlMap& root, DnsProfile& dns) {
  root.section("dns", Need::kOptional, [&](YamlMap& map) {
    UniqueValues servers(map.findings(), "each server once");
    for (const auto& item : map.list("servers", host_address(), Need::kRequired, {1, 8})) {
      servers.check(to_string(item.value), item.place, item.key);
      dns.servers.push_back(item.value);
    }
    UniqueValues domains(map.findings(), "each domain once");
    for (auto& item : map.list("domains", domain(), Need::kOptional, {1, 32})) {
      domains.check(item.value, item.place, item.key);
      dns.domains.push_back(std::move(item.value));
    }
  });
}

/// A session that may go by TCP has to know where to.
void check_protocols(YamlMap& root, const ClientProfile& profile, Place place) {
  constexpr const char* kKey = "policy.transport.allowed_protocols";
  const bool sound = root.findings().clean(kKey) && root.findings().clean("gateway.fallback");
  if (!sound || !profile.policy.transport.tcp || !profile.fallback.endpoints.empty()) return;
  root.findings().add(place, kKey, "[udp], or gateway.fallback beside tcp: where it is reached so",
                      "[udp, tcp]");
}

void read_client(YamlMap& root, ClientProfile& profile) {
  root.required("node", name(63), profile.node);
  read_interface(root, profile.interface);
  read_crypto(root, profile.crypto);
  read_underlays(root, profile.underlays);
  root.section("gateway", Need::kRequired, [&](YamlMap& map) {
    profile.gateway.name = "gateway";
    map.optional("name", name(63), profile.gateway.name);
    UniqueValues prefixes(map.findings(), "each prefix once");
    for (const auto& item :
         read_peer_body(map, Need::kRequired, profile.gateway, HostNames::kAllowed)) {
      prefixes.check(to_string(item.value), item.place, item.key);
    }
    read_fallback(map, profile.fallback);
  });
  read_dns(root, profile.dns);
  root.optional("kill_switch", boolean(), profile.kill_switch);
  const PolicyPlaces places = read_policy(root, ProfileRole::kClient, profile.policy);
  profile.policy_version = places.version;
  check_protocols(root, profile, places.protocols);
  read_admin(root, "/run/jvpn/client.sock", profile.admin);
  read_events(root, profile.events);
}

/// What has no role is no profile: nothing of it is looked at, or repeated, as it may be a secret.
std::optional<ProfileRole> read_role(const YamlValue& root, std::string_view expected,
                                     std::string_view file, Findings& findings) {
  Findings unseen(file);
  const auto value = YamlMap(root, unseen).take("role", Need::kOptional, "");
  if (!value) {
    findings.add(root.place, "role", expected, "nothing");
    return std::nullopt;
  }
  auto kind =
      one_of<ProfileRole>({{"gateway", ProfileRole::kGateway}, {"client", ProfileRole::kClient}});
  kind.expected = expected;
  // What is nearly a role is a slip and no secret.
  kind.confidential =
      !value->node.IsScalar() || nearest(value->node.Scalar(), {"gateway", "client"}).empty();
  const auto role = read_scalar(*value, kind, findings);
  // In a profile of the other role every key would be unknown: once is enough.
  const bool other = role && !expected.starts_with("one of") && value->node.Scalar() != expected;
  if (other) findings.add(value->place, "role", expected, value->node.Scalar());
  return other ? std::nullopt : role;
}

/// Reads a whole profile, once its role is what the program expects.
template <typename Profile>
Result<Profile> parse(std::string_view yaml, std::string_view file, std::string_view role,
                      void (*read)(YamlMap&, Profile&)) {
  Findings findings(file);
  Profile profile;
  const auto root = load_yaml(yaml, findings);
  if (root && read_role(*root, role, file, findings)) {
    YamlMap map(*root, findings);
    map.take("role", Need::kRequired, role);
    read(map, profile);
    map.finish();
  }
  if (!findings.empty()) return findings.error();
  return profile;
}

}  // namespace

Result<ProfileRole> profile_role(std::string_view yaml, std::string_view file) {
  Findings findings(file);
  const auto root = load_yaml(yaml, findings);
  const auto role =
      root ? read_role(*root, "one of gateway, client", file, findings) : std::nullopt;
  if (!findings.empty()) return findings.error();
  return *role;
}

Result<GatewayProfile> parse_gateway_profile(std::string_view yaml, std::string_view file) {
  return parse<GatewayProfile>(yaml, file, "gateway", read_gateway);
}

Result<ClientProfile> parse_client_profile(std::string_view yaml, std::string_view file) {
  return parse<ClientProfile>(yaml, file, "client", read_client);
}

KeySchema profile_schema(ProfileRole role) {
  KeySchema schema;
  schema.form = KeySchema::Form::kMap;
  Findings unseen("");
  YamlMap map(schema, unseen);
  const bool gateway = role == ProfileRole::kGateway;
  map.take("role", Need::kRequired, gateway ? "one of gateway" : "one of client");
  GatewayProfile of_gateway;
  ClientProfile of_client;
  if (gateway)
    read_gateway(map, of_gateway);
  else
    read_client(map, of_client);
  return schema;
}

const char* to_string(Suite suite) {
  switch (suite) {
    case Suite::kAes128Gcm:
      return "aes-128-gcm";
    case Suite::kAes256Gcm:
      return "aes-256-gcm";
    case Suite::kChaCha20Poly1305:
      return "chacha20-poly1305";
  }
  return "unknown";
}

}  // namespace jvpn
