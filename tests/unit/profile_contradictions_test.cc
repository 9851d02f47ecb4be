#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/unit/profile_bad_case.h"

namespace jvpn::test {
namespace {

// Values that are fine alone, but not together.
constexpr BadCase kContradictions[] = {
    {"neither pci nor vdev", kGateway, "    pci: 0000:3B:00.1\n", "",
     "p:16:5: ports[1].pci: expected either pci or vdev, got neither"},
    {"both pci and vdev", kGateway, "    pci: 0000:3B:00.1",
     "    pci: 0000:3B:00.1\n    vdev: net_tap0",
     "p:18:11: ports[1].vdev: expected either pci or vdev, got both"},
    {"bad pci", kGateway, "pci: 0000:3B:00.1", "pci: 3b:00.1",
     "p:17:10: ports[1].pci: expected a PCI address such as 0000:3b:00.0, got 3b:00.1"},
    {"same vdev", kGateway, "    pci: 0000:3B:00.1", "    vdev: \"net_af_xdp0,iface=lan\"",
     "p:17:11: ports[1].vdev: expected a device that no other port has, got net_af_xdp0 (as "
     "ports[0].vdev)"},
    {"same pci, another case", kGateway, "    vdev: \"net_af_xdp0,iface=wan0\"",
     "    pci: 0000:3b:00.1",
     "p:17:10: ports[1].pci: expected a device that no other port has, got 0000:3b:00.1 (as "
     "ports[0].pci)"},
    {"same port name", kGateway, "name: lan", "name: wan0",
     "p:16:11: ports[1].name: expected a name that no other port has, got wan0 (as ports[0].name)"},
    {"same address on two ports", kGateway, "[10.99.0.1/24]", "[10.99.0.1/24, 192.0.2.1/25]",
     "p:19:31: ports[1].addresses[1]: expected an address that no other port has, got 192.0.2.1 "
     "(as "
     "ports[0].addresses[0])"},
    {"same address on one port", kGateway, "[10.99.0.1/24]", "[10.99.0.1/24, 10.99.0.1/24]",
     "p:19:31: ports[1].addresses[1]: expected an address that no other port has, got 10.99.0.1 "
     "(as "
     "ports[1].addresses[0])"},
    {"a pool in the inside network", kGateway,
     "cores:", "enrolment: {pool: [10.99.0.128/25]}\ncores:",
     "p:3:19: enrolment.pool: expected a network beside 10.99.0.0/24 of port lan, or "
     "answer_for_peers there, got 10.99.0.128/25"},
    {"a pool around the outside network", kGateway,
     "cores:", "enrolment: {pool: [192.0.0.0/16]}\ncores:",
     "p:3:19: enrolment.pool: expected a network beside 192.0.2.0/24 of port wan0, or "
     "answer_for_peers there, got 192.0.0.0/16"},
    {"address of the network", kGateway, "[10.99.0.1/24]", "[10.99.0.0/24]",
     "p:19:17: ports[1].addresses[0]: expected an address with its prefix length such as "
     "192.0.2.1/24, got 10.99.0.0/24"},
    {"address of the broadcast", kGateway, "[10.99.0.1/24]", "[10.99.0.255/24]",
     "p:19:17: ports[1].addresses[0]: expected an address with its prefix length such as "
     "192.0.2.1/24, got 10.99.0.255/24"},
    {"multicast address", kGateway, "[10.99.0.1/24]", "[224.0.0.1/24]",
     "p:19:17: ports[1].addresses[0]: expected an address with its prefix length such as "
     "192.0.2.1/24, got 224.0.0.1/24"},
    {"no inside port", kGateway, "role: inside", "role: outside",
     "p:8:3: ports: expected at least one port with role: inside, got none"},
    {"no outside port", kGateway, "role: outside", "role: inside",
     "p:8:3: ports: expected at least one port with role: outside, got none"},
    {"answering for peers outside", kGateway, "    mtu: 1400", "    answer_for_peers: true",
     "p:13:23: ports[0].answer_for_peers: expected false on a port with role: outside, got true"},
    {"gateway not on link", kGateway, "gateways: [192.0.2.254]", "gateways: [198.51.100.1]",
     "p:12:16: ports[0].gateways[0]: expected a neighbour on 192.0.2.0/24 or 2001:db8::/64, got "
     "198.51.100.1"},
    {"gateway is the port itself", kGateway, "gateways: [192.0.2.254]", "gateways: [192.0.2.1]",
     "p:12:16: ports[0].gateways[0]: expected a neighbour on 192.0.2.0/24 or 2001:db8::/64, got "
     "192.0.2.1"},
    {"gateway of a family without address", kGateway, "gateways: [192.0.2.254]",
     "gateways: [192.0.2.254, \"2001:db8:1::1\"]",
     "p:12:29: ports[0].gateways[1]: expected a neighbour on 192.0.2.0/24 or 2001:db8::/64, got "
     "2001:db8:1::1"},
    {"two gateways of a family", kGateway, "gateways: [192.0.2.254]",
     "gateways: [192.0.2.254, 192.0.2.253]",
     "p:12:29: ports[0].gateways[1]: expected one gateway of each family, got IPv4 (as "
     "ports[0].gateways[0])"},
    {"route not on link", kGateway, "via: 10.99.0.7", "via: 10.98.0.7",
     "p:20:38: ports[1].routes[0].via: expected a neighbour on 10.99.0.0/24, got 10.98.0.7"},
    {"route of another family", kGateway, "to: 10.50.0.0/16", "to: \"fd50::/16\"",
     "p:20:37: ports[1].routes[0].via: expected the family of the route's destination, got "
     "10.99.0.7"},
    {"route with host bits", kGateway, "to: 10.50.0.0/16", "to: 10.50.0.1/16",
     "p:20:19: ports[1].routes[0].to: expected a network with its host bits zero such as "
     "10.0.0.0/8, got 10.50.0.1/16"},
    {"two routes to one network", kGateway, "[{to: 10.50.0.0/16, via: 10.99.0.7}]",
     "[{to: 10.50.0.0/16, via: 10.99.0.7}, {to: 10.50.0.0/16, via: 10.99.0.8}]",
     "p:20:55: ports[1].routes[1].to: expected one route to each network, got 10.50.0.0/16 (as "
     "ports[1].routes[0].to)"},
    {"static neighbour off the link", kGateway, "    mtu: 1400",
     "    neighbors: [{address: 10.0.0.1, mac: \"02:00:5e:10:00:01\"}]",
     "p:13:27: ports[0].neighbors[0].address: expected a neighbour on 192.0.2.0/24 or "
     "2001:db8::/64, got 10.0.0.1"},
    {"static neighbour with a group's address", kGateway, "    mtu: 1400",
     "    neighbors: [{address: 192.0.2.9, mac: \"03:00:5e:10:00:01\"}]",
     "p:13:43: ports[0].neighbors[0].mac: expected an Ethernet address of one host such as "
     "02:00:5e:10:00:01, got \"03:00:5e:10:00:01\""},
    {"static neighbour twice", kGateway, "    mtu: 1400",
     "    neighbors: [{address: 192.0.2.9, mac: \"02:00:5e:10:00:01\"}, {address: 192.0.2.9, mac: "
     "\"02:00:5e:10:00:02\"}]",
     "p:13:75: ports[0].neighbors[1].address: expected one link-layer address of each neighbour, "
     "got 192.0.2.9 (as ports[0].neighbors[0].address)"},
    {"bad public key", kGateway, "public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
     "public_key: hSDwCYkwp1R0i33ctD73Wg2",
     "p:34:17: peers[1].public_key: expected a public key of 32 bytes in base64, got something "
     "else "
     "(not shown, it may be a secret)"},
    {"all-zero public key", kGateway, "public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
     "public_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
     "p:34:17: peers[1].public_key: expected a public key of 32 bytes in base64, got something "
     "else "
     "(not shown, it may be a secret)"},
    {"same public key", kGateway,
     "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
     "p:34:17: peers[1].public_key: expected a public key that no other peer has, got "
     "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08= (as peers[0].public_key)"},
    {"same peer name", kGateway, "name: edge", "name: laptop",
     "p:33:11: peers[1].name: expected a name that no other peer has, got laptop (as "
     "peers[0].name)"},
    {"same allowed prefix", kGateway, "[10.77.0.3/32]", "[10.77.0.2]",
     "p:35:19: peers[1].allowed_ips[0]: expected a prefix that no other peer has, got 10.77.0.2/32 "
     "(as peers[0].allowed_ips[0])"},
    {"allowed prefix with host bits", kGateway, "[10.77.0.3/32]", "[10.77.0.3/24]",
     "p:35:19: peers[1].allowed_ips[0]: expected a network with its host bits zero such as "
     "10.0.0.0/8, got 10.77.0.3/24"},
    {"bad allowed prefix", kGateway, "[10.77.0.3/32]", "[10.77.0.3/33]",
     "p:35:19: peers[1].allowed_ips[0]: expected a network with its host bits zero such as "
     "10.0.0.0/8, got 10.77.0.3/33"},
    {"bad endpoint", kGateway, "\"198.51.100.9:51900\"", "\"198.51.100.9\"",
     "p:32:17: peers[0].endpoints[0]: expected an endpoint such as 192.0.2.1:51900 or "
     "[2001:db8::1]:51900, got \"198.51.100.9\""},
    {"endpoint of port 0", kGateway, "198.51.100.9:51900", "198.51.100.9:0",
     "p:32:17: peers[0].endpoints[0]: expected an endpoint such as 192.0.2.1:51900 or "
     "[2001:db8::1]:51900, got \"198.51.100.9:0\""},
    {"endpoint twice", kGateway, "[\"198.51.100.9:51900\"]",
     "[\"198.51.100.9:51900\", \"198.51.100.9:51900\"]",
     "p:32:39: peers[0].endpoints[1]: expected each endpoint once, got 198.51.100.9:51900 (as "
     "peers[0].endpoints[0])"},
    {"endpoint of two gateways", kGateway, "    endpoints: [\"198.51.100.9:51900\"]",
     "    endpoints: [\"198.51.100.9:51900\"]\n"
     "    cluster: [{name: b, endpoints: [\"198.51.100.9:51900\"]}]",
     "p:33:37: peers[0].cluster[0].endpoints[0]: expected each endpoint once, got "
     "198.51.100.9:51900 (as peers[0].endpoints[0])"},
    {"gateway named as the peer", kGateway, "    endpoints: [\"198.51.100.9:51900\"]",
     "    endpoints: [\"198.51.100.9:51900\"]\n"
     "    cluster: [{name: laptop, endpoints: [\"198.51.100.9:1\"]}]",
     "p:33:22: peers[0].cluster[0].name: expected a name that no other gateway of the cluster has, "
     "got laptop (as peers[0].name)"},
    {"cluster without a first gateway", kGateway, "    endpoints: [\"198.51.100.9:51900\"]",
     "    cluster: [{name: b, endpoints: [\"198.51.100.9:1\"]}]",
     "p:28:5: peers[0].endpoints: expected a list of 1 to 16 items, each an endpoint such as "
     "192.0.2.1:51900 or [2001:db8::1]:51900, got nothing"},
    {"more peers than sessions", kGateway, "sessions: 2", "sessions: 1",
     "p:28:3: peers: expected at most 1 peers (limits.sessions), got 2"},
    {"policy version 0", kGateway, "version: 7", "version: 0",
     "p:37:12: policy.version: expected an integer from 1 to 4294967295, got 0"},
    {"a gateway's hold without room", kGateway, "failback: {when_stable_ms: 5000}", "hold_ms: 3000",
     "p:41:14: policy.switching.hold_ms: expected 0, or limits.hold_packets beside it: how many "
     "packets each worker may hold, got 3000"},
    {"replay window", kGateway, "  switching:", "  security: {replay_window: 8192}\n  switching:",
     "p:40:14: policy.security.replay_window: expected no such key: each lane's window is 8192 "
     "packets, delete the line, got one"},
    {"path validation", kGateway,
     "  switching:", "  security: {path_validation: required}\n  switching:",
     "p:40:14: policy.security.path_validation: expected no such key: paths are always validated, "
     "delete the line, got one"},
    {"tcp alone", kGateway, "  switching:", "  transport: {allowed_protocols: [tcp]}\n  switching:",
     "p:40:34: policy.transport.allowed_protocols: expected udp among them: tcp is tried where udp "
     "fails, got [tcp]"},
    {"a protocol that isn't there", kGateway,
     "  switching:", "  transport: {allowed_protocols: [udp, quic]}\n  switching:",
     "p:40:40: policy.transport.allowed_protocols[1]: expected one of udp, tcp, got quic"},
    {"a protocol twice", kGateway,
     "  switching:", "  transport: {allowed_protocols: [udp, udp]}\n  switching:",
     "p:40:40: policy.transport.allowed_protocols[1]: expected each protocol once, got udp (as "
     "policy.transport.allowed_protocols[0])"},
    {"tcp to nowhere", kClient, "{version: 1}",
     "{version: 1, transport: {allowed_protocols: [udp, tcp]}}",
     "p:12:53: policy.transport.allowed_protocols: expected [udp], or gateway.fallback beside tcp: "
     "where it is reached so, got [udp, tcp]"},
    {"a fallback that anybody could be", kClient, "  allowed_ips",
     "  fallback: {endpoints: [\"192.0.2.9:443\"]}\n  allowed_ips",
     "p:11:13: gateway.fallback: expected ca_file or public_key_sha256 in it, or anybody could be "
     "the server, got neither"},
    {"a fallback nowhere", kClient, "  allowed_ips",
     "  fallback: {endpoints: [], ca_file: ca.pem}\n  allowed_ips",
     "p:11:25: gateway.fallback.endpoints: expected a list of 1 to 16 items, each an endpoint such "
     "as 192.0.2.1:51900 or [2001:db8::1]:51900, got 0 items"},
    {"a fallback by name", kClient, "  allowed_ips",
     "  fallback: {endpoints: [\"vpn.example.org:443\"], ca_file: ca.pem}\n  allowed_ips",
     "p:11:26: gateway.fallback.endpoints[0]: expected an endpoint such as 192.0.2.1:51900 or "
     "[2001:db8::1]:51900, got \"vpn.example.org:443\""},
    {"a pin that is none", kClient, "  allowed_ips",
     "  fallback: {endpoints: [\"192.0.2.9:443\"], public_key_sha256: [c2hvcnQ=]}\n  allowed_ips",
     "p:11:64: gateway.fallback.public_key_sha256[0]: expected the SHA-256 of a public key, 32 "
     "bytes in base64, as jvpn-fallback says at its start, got something else (not shown, it "
     "may be a secret)"},
    {"a name without a CA", kClient, "  allowed_ips",
     "  fallback: {endpoints: [\"192.0.2.9:443\"], server_name: a.example, public_key_sha256: "
     "[3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=]}\n  allowed_ips",
     "p:11:57: gateway.fallback.server_name: expected ca_file beside it: a pinned key needs no "
     "name, got a.example"},
    {"more candidates than spares", kGateway,
     "  switching:", "  transport: {max_candidate_count: 4}\n  switching:",
     "p:40:36: policy.transport.max_candidate_count: expected an integer from 0 to 3, got 4"},
    {"more switches than are remembered", kGateway,
     "  switching:", "  switching:\n    max_switches_per_min: 65",
     "p:41:27: policy.switching.max_switches_per_min: expected an integer from 1 to 64, got 65"},
    {"more flaps than are remembered", kGateway, "volatility: {",
     "volatility: {max_flaps_per_min: 32, ",
     "p:39:35: policy.volatility.max_flaps_per_min: expected an integer from 1 to 31, got 32"},
    {"a polling worker on control's core", kGateway, ", idle: adaptive", "",
     "p:3:31: cores.workers[0]: expected another core than cores.control, as a worker that polls "
     "leaves it no time (or idle: adaptive), got 0"},
    {"more queues than workers", kGateway, "queues: 2", "queues: 3",
     "p:14:13: ports[0].queues: expected an integer from 0 to 2, got 3"},
    {"lanes that some workers lack", kGateway, "lanes: 4", "lanes: 3",
     "p:25:8: lanes: expected a multiple of the 2 workers, as each has lanes of its own, got 3"},
    {"failback of another word", kGateway, "{when_stable_ms: 5000}", "always",
     "p:41:15: policy.switching.failback: expected never or {when_stable_ms: MILLISECONDS}, got "
     "always"},
    {"failback as list", kGateway, "{when_stable_ms: 5000}", "[5000]",
     "p:41:15: policy.switching.failback: expected never or {when_stable_ms: MILLISECONDS}, got a "
     "list"},
    {"failback without a time", kGateway, "{when_stable_ms: 5000}", "{}",
     "p:41:15: policy.switching.failback.when_stable_ms: expected an integer from 100 to 86400000, "
     "got nothing"},
    {"heartbeat not below volatile", kGateway, "{quality_floor: 0.95}",
     "{heartbeat_interval_ms: 1000}",
     "p:39:39: policy.volatility.heartbeat_interval_ms: expected less than "
     "policy.volatility.heartbeat_volatile_ms (1000), got 1000"},
    {"volatile not below dead", kGateway, "{quality_floor: 0.95}", "{heartbeat_volatile_ms: 2000}",
     "p:39:39: policy.volatility.heartbeat_volatile_ms: expected less than "
     "policy.volatility.transport_dead_ms (2000), got 2000"},
    {"volatile not below dead, both written", kGateway, "{quality_floor: 0.95}",
     "{transport_dead_ms: 900, heartbeat_volatile_ms: 900}",
     "p:39:63: policy.volatility.heartbeat_volatile_ms: expected less than "
     "policy.volatility.transport_dead_ms (900), got 900"},
    {"dead not above volatile, only dead written", kGateway, "{quality_floor: 0.95}",
     "{transport_dead_ms: 900}",
     "p:39:35: policy.volatility.transport_dead_ms: expected more than "
     "policy.volatility.heartbeat_volatile_ms (1000), got 900"},
    {"detection floor not below dead", kGateway, "{quality_floor: 0.95}",
     "{detection_floor_ms: 2000}",
     "p:39:36: policy.volatility.detection_floor_ms: expected less than "
     "policy.volatility.transport_dead_ms (2000), got 2000"},
    {"dead not below the loss TTL", kGateway, "{max_lifetime_ms: 3600000}",
     "{transport_loss_ttl_ms: 2000}",
     "p:38:36: policy.session.transport_loss_ttl_ms: expected more than "
     "policy.volatility.transport_dead_ms (2000), got 2000"},
    {"recovering not below degraded", kGateway, "{quality_floor: 0.95}",
     "{volatile_to_recovering_ms: 4000}",
     "p:39:43: policy.volatility.volatile_to_recovering_ms: expected less than "
     "policy.volatility.volatile_to_degraded_ms (4000), got 4000"},
    {"stability not below degraded", kGateway, "{quality_floor: 0.95}",
     "{stability_window_ms: 4000}",
     "p:39:37: policy.volatility.stability_window_ms: expected less than "
     "policy.volatility.volatile_to_degraded_ms (4000), got 4000"},
    {"attempt above window", kGateway, "failback: {when_stable_ms: 5000}",
     "recovery_attempt_ms: 10001",
     "p:41:26: policy.switching.recovery_attempt_ms: expected at most "
     "policy.switching.max_recovery_window_ms (10000), got 10001"},
    {"drain above cooldown", kGateway, "failback: {when_stable_ms: 5000}", "drain_ms: 1501",
     "p:41:15: policy.switching.drain_ms: expected at most policy.switching.switch_cooldown_ms "
     "(1500), got 1501"},
    {"idle below the heartbeat", kGateway, "{max_lifetime_ms: 3600000}", "{idle_max_ms: 100}",
     "p:38:26: policy.session.idle_max_ms: expected at least "
     "policy.volatility.heartbeat_interval_ms (500), got 100"},
    {"no contradiction from a bad value", kGateway, "{quality_floor: 0.95}",
     "{transport_dead_ms: 1, heartbeat_volatile_ms: 2000}",
     "p:39:35: policy.volatility.transport_dead_ms: expected an integer from 50 to 600000, got 1"},
};

TEST(ProfileContradictions, AreFound) {
  for (const BadCase& c : kContradictions) check(c);
}

}  // namespace
}  // namespace jvpn::test
