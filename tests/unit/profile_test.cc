#include "common/profile.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/unit/profile_texts.h"

namespace jvpn {
namespace {

using test::kGoodClient;
using test::kGoodGateway;
using test::replaced;

TEST(ProfileTest, AClientMayHaveAWayByTcp) {
  const std::string text = test::replaced(
      test::replaced(
          test::kGoodClient, "  allowed_ips",
          "  fallback: {endpoints: [\"192.0.2.9:443\", \"[2001:db8::9]:8443\"], ca_file: "
          "/etc/ca.pem, server_name: vpn.example.org, public_key_sha256: "
          "[3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=]}\n  allowed_ips"),
      "{version: 1}", "{version: 1, transport: {allowed_protocols: [tcp, udp]}}");
  const auto parsed = parse_client_profile(text, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->policy.transport.tcp);
  EXPECT_EQ(parsed->fallback.endpoints.size(), 2U);
  EXPECT_EQ(parsed->fallback.ca_file.path, "/etc/ca.pem");
  EXPECT_EQ(parsed->fallback.server_name, "vpn.example.org");
  EXPECT_EQ(parsed->fallback.public_keys.size(), 1U);
  EXPECT_FALSE(parse_client_profile(test::kGoodClient, "p")->policy.transport.tcp)
      << "UDP alone by default";
}

TEST(GatewayProfile, TakesEveryKey) {
  const auto parsed = parse_gateway_profile(kGoodGateway, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const GatewayProfile& p = *parsed;
  EXPECT_EQ(p.node, "gw1");
  EXPECT_EQ(p.cores.control, 0u);
  EXPECT_EQ(p.cores.workers, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(p.cores.idle, IdleMode::kAdaptive);
  EXPECT_TRUE(p.memory.hugepages);
  EXPECT_EQ(p.memory.megabytes, 384u);
  EXPECT_EQ(p.eal_args, std::vector<std::string>{"--iova-mode=va"});
  EXPECT_EQ(p.listen_port, 51900);
  EXPECT_EQ(p.state.directory, "/var/lib/jvpn");
  EXPECT_EQ(p.crypto.private_key_file.path, "gw.key");
  EXPECT_EQ(p.crypto.private_key_file.key, "crypto.private_key_file");
  EXPECT_EQ(p.crypto.private_key_file.place.line, 22u);
  EXPECT_EQ(p.crypto.private_key_file.place.column, 21u);
  EXPECT_EQ(p.crypto.suites, (std::vector{Suite::kAes128Gcm, Suite::kChaCha20Poly1305}));
  EXPECT_EQ(p.crypto.rekey_after, Millis{60'000});
  EXPECT_EQ(p.crypto.rekey_after_packets, uint64_t{1} << 28);
  EXPECT_EQ(p.lanes, 4);
  EXPECT_EQ(p.limits.sessions, 2u);
  EXPECT_EQ(p.limits.mbufs, 8'192u);
  EXPECT_EQ(p.limits.control_ring, 256u);
  EXPECT_EQ(p.limits.handoff_ring, 512u);
  EXPECT_EQ(p.policy.version, 7u);
  EXPECT_EQ(p.policy.session.max_lifetime, Millis{3'600'000});
  EXPECT_EQ(p.policy.session.transport_loss_ttl, Millis{15'000});
  EXPECT_EQ(p.policy.volatility.quality_floor, 0.95);
  EXPECT_EQ(p.policy.switching.failback_when_stable, Millis{5'000});
  EXPECT_EQ(p.admin.socket, "/run/jvpn/gw1.sock");
}

TEST(GatewayProfile, TakesPorts) {
  const auto parsed = parse_gateway_profile(kGoodGateway, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->ports.size(), 2u);
  const PortProfile& wan = parsed->ports[0];
  EXPECT_EQ(wan.name, "wan0");
  EXPECT_EQ(wan.vdev, "net_af_xdp0,iface=wan0");
  EXPECT_EQ(wan.pci, "");
  EXPECT_EQ(wan.role, PortRole::kOutside);
  ASSERT_EQ(wan.addresses.size(), 2u);
  EXPECT_EQ(to_string(wan.addresses[0]), "192.0.2.1/24");
  EXPECT_EQ(to_string(wan.addresses[1]), "2001:db8::1/64");
  ASSERT_EQ(wan.gateways.size(), 1u);
  EXPECT_EQ(to_string(wan.gateways[0]), "192.0.2.254");
  EXPECT_EQ(wan.mtu, 1400);
  EXPECT_EQ(wan.queues, 2);
  EXPECT_EQ(wan.rx_descriptors, 512);
  EXPECT_EQ(wan.tx_descriptors, 1024);

  const PortProfile& lan = parsed->ports[1];
  EXPECT_EQ(lan.pci, "0000:3b:00.1");
  EXPECT_EQ(lan.role, PortRole::kInside);
  EXPECT_EQ(lan.mtu, 1500);
  ASSERT_EQ(lan.routes.size(), 1u);
  EXPECT_EQ(to_string(lan.routes[0].to), "10.50.0.0/16");
  EXPECT_EQ(to_string(lan.routes[0].via), "10.99.0.7");
  EXPECT_FALSE(lan.answer_for_peers);
}

TEST(GatewayProfile, AnswersForPeersWhereItSaysSo) {
  std::string text(kGoodGateway);
  const std::string_view inside = "    role: inside\n";
  text.replace(text.find(inside), inside.size(), "    role: inside\n    answer_for_peers: true\n");
  const auto parsed = parse_gateway_profile(text, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_FALSE(parsed->ports[0].answer_for_peers);
  EXPECT_TRUE(parsed->ports[1].answer_for_peers);
}

TEST(GatewayProfile, TakesPeers) {
  const auto parsed = parse_gateway_profile(kGoodGateway, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->peers.size(), 2u);
  const PeerProfile& laptop = parsed->peers[0];
  EXPECT_EQ(laptop.name, "laptop");
  EXPECT_EQ(key_to_base64(laptop.public_key), "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=");
  ASSERT_TRUE(laptop.preshared_key_file);
  EXPECT_EQ(laptop.preshared_key_file->path, "laptop.psk");
  EXPECT_EQ(laptop.preshared_key_file->key, "peers[0].preshared_key_file");
  ASSERT_EQ(laptop.allowed_ips.size(), 2u);
  EXPECT_EQ(to_string(laptop.allowed_ips[1]), "fd77::2/128");
  ASSERT_EQ(laptop.endpoints.size(), 1u);
  EXPECT_EQ(to_string(laptop.endpoints[0]), "198.51.100.9:51900");
  EXPECT_FALSE(parsed->peers[1].preshared_key_file);
  EXPECT_TRUE(parsed->peers[1].endpoints.empty());
  EXPECT_TRUE(parsed->peers[1].cluster.empty());
}

TEST(GatewayProfile, HasDefaults) {
  const auto parsed = parse_gateway_profile(R"(
role: gateway
node: gw1
cores: {workers: [1]}
ports:
  - {name: wan0, vdev: net_memif0, role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: net_memif1, role: inside, addresses: ["fd99::1/64"]}
crypto: {private_key_file: gw.key}
peers: []
policy: {version: 1}
)",
                                            "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->listen_port, 51'900);
  EXPECT_EQ(parsed->cores.idle, IdleMode::kPoll);
  EXPECT_EQ(parsed->cores.tuning.burst, kDefaultBurst);
  EXPECT_EQ(parsed->cores.tuning.prefetch_ahead, kDefaultAhead);
  EXPECT_EQ(parsed->memory.megabytes, 512u);
  EXPECT_EQ(parsed->crypto.suites, std::vector{Suite::kAes128Gcm});
  EXPECT_EQ(parsed->crypto.rekey_after, Millis{120'000});
  EXPECT_EQ(parsed->policy.volatility.transport_dead, Millis{2'000});
  EXPECT_FALSE(parsed->policy.switching.failback_when_stable);
  EXPECT_EQ(parsed->admin.socket, "/run/jvpn/jvpnd.sock");
}

TEST(GatewayProfile, HoldsWhereItHasRoom) {
  std::string text(kGoodGateway);
  const std::string_view limits = "control_ring: 256";
  text.replace(text.find(limits), limits.size(), "control_ring: 256, hold_packets: 4096");
  const auto idle = parse_gateway_profile(text, "p");
  ASSERT_TRUE(idle) << idle.error().message;
  EXPECT_EQ(idle->limits.hold_packets, 4096U);
  EXPECT_FALSE(idle->policy.switching.holds());
  const std::string_view failback = "failback: {when_stable_ms: 5000}";
  text.replace(text.find(failback), failback.size(), "hold_ms: 3000");
  const auto holds = parse_gateway_profile(text, "p");
  ASSERT_TRUE(holds) << holds.error().message;
  EXPECT_TRUE(holds->policy.switching.holds());
  EXPECT_EQ(holds->policy.switching.hold_bytes, kHoldBytes);

  const auto with_bytes = [&](const char* bytes) {
    std::string other = text;
    const std::string_view hold = "hold_ms: 3000";
    other.replace(other.find(hold), hold.size(),
                  "hold_ms: 3000\n    hold_bytes: " + std::string(bytes));
    return parse_gateway_profile(other, "p");
  };
  EXPECT_TRUE(with_bytes("3128"));
  EXPECT_TRUE(with_bytes("0")) << "nothing is held";
  const auto cramped = with_bytes("3127");
  ASSERT_FALSE(cramped);
  EXPECT_EQ(cramped.error().message,
            "p:42:17: policy.switching.hold_bytes: expected 0, or at least 3128: one packet of "
            "1500 bytes with 64 for its entry at each of the 2 workers, got 3127");
}

TEST(GatewayProfile, TunesItsWorkers) {
  std::string text(kGoodGateway);
  const std::string_view idle = "idle: adaptive";
  text.replace(text.find(idle), idle.size(), "idle: adaptive, burst: 64, prefetch_ahead: 0");
  const auto parsed = parse_gateway_profile(text, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->cores.tuning.burst, 64);
  EXPECT_EQ(parsed->cores.tuning.prefetch_ahead, 0);
}

TEST(EventsProfile, TakesEveryKindOfSink) {
  const auto parsed = parse_client_profile(std::string(kGoodClient) + R"(events:
  sinks:
    - {kind: stdout}
    - {kind: file, path: /var/log/jvpn/events.log}
    - {kind: unix, path: collector.sock}
    - {kind: syslog}
)",
                                           "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto& sinks = parsed->events.sinks;
  ASSERT_EQ(sinks.size(), 4u);
  EXPECT_EQ(sinks[0].kind, EventSinkKind::kStdout);
  EXPECT_EQ(sinks[1].kind, EventSinkKind::kFile);
  EXPECT_EQ(sinks[1].path, "/var/log/jvpn/events.log");
  EXPECT_EQ(sinks[2].kind, EventSinkKind::kUnix);
  EXPECT_EQ(sinks[2].path, "collector.sock");
  EXPECT_EQ(sinks[3].kind, EventSinkKind::kSyslog);
}

TEST(EventsProfile, IsStandardOutputByDefaultAndMayBeEmpty) {
  const auto standard = parse_gateway_profile(kGoodGateway, "p");
  ASSERT_TRUE(standard) << standard.error().message;
  ASSERT_EQ(standard->events.sinks.size(), 1u);
  EXPECT_EQ(standard->events.sinks[0].kind, EventSinkKind::kStdout);
  const auto none = parse_gateway_profile(std::string(kGoodGateway) + "events: {sinks: []}\n", "p");
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->events.sinks.empty());
}

TEST(GatewayProfile, TakesTheNicServersProfile) {
  const char* const root = std::getenv("JVPN_SOURCE_ROOT");
  const std::filesystem::path source =
      root != nullptr ? std::filesystem::path(root)
                      : std::filesystem::path(__FILE__).parent_path() / "../..";
  std::ifstream file(source / "tools/profiles/nic-server.yaml");
  ASSERT_TRUE(file) << "run it from the build folder or set JVPN_SOURCE_ROOT";
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto parsed = parse_gateway_profile(text, "nic-server.yaml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->ports.size(), 2u);
  EXPECT_EQ(parsed->cores.workers.size(), 3u);
  EXPECT_EQ(parsed->cores.idle, IdleMode::kPoll);
}

TEST(ClientProfile, TakesEveryKey) {
  const auto parsed = parse_client_profile(kGoodClient, "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->node, "laptop");
  EXPECT_EQ(parsed->interface.name, "jvpn1");
  EXPECT_EQ(parsed->interface.mtu, 1380);
  ASSERT_EQ(parsed->underlays.size(), 2u);
  EXPECT_EQ(parsed->underlays[0].device, "wlan0");
  ASSERT_TRUE(parsed->underlays[0].source);
  EXPECT_EQ(to_string(*parsed->underlays[0].source), "192.0.2.2");
  EXPECT_FALSE(parsed->underlays[1].source);
  EXPECT_EQ(parsed->gateway.name, "gateway");
  EXPECT_EQ(parsed->gateway.endpoints.size(), 1u);
  EXPECT_EQ(parsed->gateway.allowed_ips.size(), 2u);
  EXPECT_EQ(parsed->policy.version, 1u);
  EXPECT_EQ(parsed->admin.socket, "/run/jvpn/client.sock");
}

/// As the documentation of clusters shows it.
TEST(ClientProfile, KnowsSeveralGateways) {
  const auto parsed = parse_client_profile(
      replaced(kGoodClient, "  allowed_ips",
               "  name: berlin\n"
               "  cluster:\n"
               "    - {name: wien, endpoints: [\"192.0.2.9:51900\", \"[2001:db8::9]:51900\"]}\n"
               "    - {name: zagreb, endpoints: [\"192.0.2.17:51900\"]}\n"
               "  allowed_ips"),
      "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const PeerProfile& gateway = parsed->gateway;
  ASSERT_EQ(gateway.cluster.size(), 2U);
  std::vector<std::pair<std::string, int>> all;
  for (const GatewayEndpoint& each : gateway_endpoints(gateway))
    all.emplace_back(to_string(each.remote), each.gateway.value);
  const std::vector<std::pair<std::string, int>> expected{{"192.0.2.1:51900", 0},
                                                          {"192.0.2.9:51900", 1},
                                                          {"[2001:db8::9]:51900", 1},
                                                          {"192.0.2.17:51900", 2}};
  EXPECT_EQ(all, expected);
  EXPECT_EQ(all_endpoints(gateway).size(), 4U) << "all of them stay outside the tunnel";
  EXPECT_EQ(gateway_name(gateway, *Endpoint::parse("192.0.2.1:51900")), "berlin");
  EXPECT_EQ(gateway_name(gateway, *Endpoint::parse("[2001:db8::9]:51900")), "wien");
  EXPECT_EQ(gateway_name(gateway, *Endpoint::parse("192.0.2.9:1")), "");
  FallbackProfile fallback;
  fallback.endpoints = {*Endpoint::parse("192.0.2.9:443")};
  EXPECT_EQ(gateway_name(gateway, fallback, fallback.endpoints[0]), "berlin");
  EXPECT_EQ(gateway_name(gateway, fallback, *Endpoint::parse("[2001:db8::9]:51900")), "wien");
  EXPECT_EQ(outer_endpoints(gateway, fallback).size(), 5U);
  EXPECT_EQ(path_gateways(gateway, fallback).back().gateway, GatewayNumber{0});
}

/// `gateways` of them, each with so many endpoints, behind the first one's single endpoint.
std::string cluster_of(int gateways, int endpoints) {
  std::string list;
  for (int i = 0; i < gateways; ++i) {
    list += (i == 0 ? "" : ", ") + ("{name: g" + std::to_string(i) + ", endpoints: [");
    for (int port = 1; port <= endpoints; ++port)
      list += (port == 1 ? "\"" : ", \"") + ("192.0.2." + std::to_string(i + 2)) + ":" +
              std::to_string(port) + "\"";
    list += "]}";
  }
  return "  cluster: [" + list + "]\n  allowed_ips";
}

TEST(ClientProfile, BoundsGatewaysAndEndpoints) {
  const auto finding = [](int gateways, int endpoints) {
    const auto parsed = parse_client_profile(
        replaced(kGoodClient, "  allowed_ips", cluster_of(gateways, endpoints)), "p");
    return parsed ? std::string() : parsed.error().message;
  };
  EXPECT_EQ(finding(7, 2), "");
  EXPECT_NE(finding(8, 1).find("gateway.cluster: expected a list of 1 to 7 items"),
            std::string::npos);
  EXPECT_EQ(finding(3, 5), "");
  EXPECT_EQ(finding(4, 4),
            "p:11:12: gateway.cluster: expected at most 16 endpoints of all gateways together, got "
            "17");
}

TEST(ClientProfile, TakesNamesServersAndTheKillSwitch) {
  const auto profile = parse_client_profile(
      replaced(replaced(kGoodClient, "[\"192.0.2.1:51900\"]",
                        "[\"vpn.example.org:51900\", \"192.0.2.1:51900\"]"),
               "policy: {",
               "dns: {servers: [10.77.0.1, \"fd77::1\"], domains: [corp.example, ~.]}\n"
               "kill_switch: true\npolicy: {"),
      "p");
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->gateway.named, (std::vector<NamedEndpoint>{{"vpn.example.org", 51'900, {}}}));
  EXPECT_EQ(profile->gateway.endpoints, std::vector{*Endpoint::parse("192.0.2.1:51900")});
  EXPECT_EQ(profile->dns.servers.size(), 2U);
  EXPECT_EQ(profile->dns.domains, (std::vector<std::string>{"corp.example", "~."}));
  EXPECT_TRUE(profile->kill_switch);
}

TEST(ClientProfile, HasDefaults) {
  const auto parsed =
      parse_client_profile(replaced(kGoodClient, "interface: {name: jvpn1, mtu: 1380}\n", ""), "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->interface.name, "jvpn0");
  EXPECT_FALSE(parsed->interface.mtu);
  EXPECT_EQ(parsed->policy.switching.hold, kClientHold);
  EXPECT_EQ(parsed->policy.switching.hold_bytes, kHoldBytes);
}

// Every key of the policy, each at a value that isn't its default.
TEST(Policy, TakesEveryKey) {
  const auto parsed = parse_client_profile(replaced(kGoodClient, "policy: {version: 1}", R"(policy:
  version: 2
  session: {max_lifetime_ms: 1000, transport_loss_ttl_ms: 9000, idle_max_ms: 600}
  volatility:
    heartbeat_interval_ms: 100
    heartbeat_volatile_ms: 200
    transport_dead_ms: 300
    detection: fixed
    detection_floor_ms: 30
    loss_window_ms: 400
    loss_min_samples: 5
    loss_volatile_threshold: 0.5
    jitter_volatile_ms: 6
    latency_volatile_ms: 7
    quality_floor: 1
    stability_window_ms: 800
    volatile_to_recovering_ms: 900
    volatile_to_degraded_ms: 1000
    max_flaps_per_min: 11
  switching:
    max_switches_per_min: 12
    on_rate_exceeded: terminate
    switch_cooldown_ms: 1300
    max_recovery_window_ms: 1400
    max_recovery_attempts: 15
    recovery_attempt_ms: 1400
    switch_improvement_factor: 1.7
    drain_ms: 1300
    hold_ms: 700
    hold_bytes: 65536
    failback: never
  transport: {max_candidate_count: 2, candidate_validation_ttl_ms: 1900}
  security: {reattach_proof_max_age_ms: 2000, reattach_rate_per_s: 21}
  observability: {event_ring: 1024, security_events_per_s: 23}
)"),
                                           "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Policy& p = parsed->policy;
  EXPECT_EQ(p.version, 2u);
  EXPECT_EQ(p.session.max_lifetime, Millis{1'000});
  EXPECT_EQ(p.session.transport_loss_ttl, Millis{9'000});
  EXPECT_EQ(p.session.idle_max, Millis{600});
  EXPECT_EQ(p.volatility.heartbeat_interval, Millis{100});
  EXPECT_EQ(p.volatility.heartbeat_volatile, Millis{200});
  EXPECT_EQ(p.volatility.transport_dead, Millis{300});
  EXPECT_EQ(p.volatility.detection, Detection::kFixed);
  EXPECT_EQ(p.volatility.detection_floor, Millis{30});
  EXPECT_EQ(p.volatility.loss_window, Millis{400});
  EXPECT_EQ(p.volatility.loss_min_samples, 5u);
  EXPECT_EQ(p.volatility.loss_volatile_threshold, 0.5);
  EXPECT_EQ(p.volatility.jitter_volatile, Millis{6});
  EXPECT_EQ(p.volatility.latency_volatile, Millis{7});
  EXPECT_EQ(p.volatility.quality_floor, 1.0);
  EXPECT_EQ(p.volatility.stability_window, Millis{800});
  EXPECT_EQ(p.volatility.volatile_to_recovering, Millis{900});
  EXPECT_EQ(p.volatility.volatile_to_degraded, Millis{1'000});
  EXPECT_EQ(p.switching.hold, Millis{700});
  EXPECT_EQ(p.switching.hold_bytes, 65'536u);
  EXPECT_EQ(p.volatility.max_flaps_per_min, 11u);
  EXPECT_EQ(p.switching.max_switches_per_min, 12u);
  EXPECT_EQ(p.switching.on_rate_exceeded, OnRateExceeded::kTerminate);
  EXPECT_EQ(p.switching.switch_cooldown, Millis{1'300});
  EXPECT_EQ(p.switching.max_recovery_window, Millis{1'400});
  EXPECT_EQ(p.switching.max_recovery_attempts, 15u);
  EXPECT_EQ(p.switching.recovery_attempt, Millis{1'400});
  EXPECT_EQ(p.switching.switch_improvement_factor, 1.7);
  EXPECT_EQ(p.switching.drain, Millis{1'300});
  EXPECT_FALSE(p.switching.failback_when_stable);
  EXPECT_EQ(p.transport.max_candidate_count, 2u);
  EXPECT_EQ(p.transport.candidate_validation_ttl, Millis{1'900});
  EXPECT_EQ(p.security.reattach_proof_max_age, Millis{2'000});
  EXPECT_EQ(p.security.reattach_rate_per_s, 21u);
  EXPECT_EQ(p.observability.event_ring, 1'024u);
  EXPECT_EQ(p.observability.security_events_per_s, 23u);
}

TEST(Profile, EmptyTextIsNoMap) {
  for (const char* text : {"", "\n", "# nothing\n"}) {
    EXPECT_EQ(parse_gateway_profile(text, "p").error().message,
              "p:1:1: profile: expected a map, got nothing");
  }
  EXPECT_EQ(parse_client_profile("- a\n", "p").error().message,
            "p:1:1: profile: expected a map, got a list");
  EXPECT_EQ(parse_client_profile("  words\n", "p").error().message,
            "p:1:3: profile: expected a map, got something else (not shown, it may be a secret)");
}

TEST(KeyText, RoundTrips) {
  std::array<uint8_t, 32> key{};
  EXPECT_EQ(key_to_base64(key), std::string(43, 'A') + "=");
  for (unsigned value = 0; value < 256; ++value) {
    for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(value * (i + 1) + i);
    EXPECT_EQ(key_from_base64(key_to_base64(key)), key);
  }
  key.fill(0xff);
  EXPECT_EQ(key_to_base64(key), std::string(42, '/') + "8=");
}

TEST(KeyText, KnowsExactlyTheDigitsOfBase64) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (unsigned value = 0; value < 256; ++value) {
    const char c = static_cast<char>(value);
    std::string text = std::string(43, 'A') + "=";
    text[4] = c;
    const auto key = key_from_base64(text);
    ASSERT_EQ(key.has_value(), digits.find(c) != std::string_view::npos) << value;
    if (!key) continue;
    EXPECT_EQ(size_t{(*key)[3]} >> 2, digits.find(c));
  }
}

TEST(KeyText, RefusesOtherLengthsAndSpareBits) {
  const std::string good = std::string(43, 'A') + "=";
  EXPECT_TRUE(key_from_base64(good));
  for (const std::string& text :
       {std::string(), std::string("="), good.substr(1), good + "=", std::string(44, 'A'),
        std::string(42, 'A') + "==", std::string(42, 'A') + "B=", std::string(42, 'A') + "C="}) {
    EXPECT_FALSE(key_from_base64(text)) << text;
  }
}

TEST(SuiteText, NamesAllSuites) {
  EXPECT_STREQ(to_string(Suite::kAes128Gcm), "aes-128-gcm");
  EXPECT_STREQ(to_string(Suite::kAes256Gcm), "aes-256-gcm");
  EXPECT_STREQ(to_string(Suite::kChaCha20Poly1305), "chacha20-poly1305");
}

}  // namespace
}  // namespace jvpn
