#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/unit/profile_bad_case.h"

namespace jvpn::test {
namespace {

// Keys, types, ranges and YAML itself, in both profiles.
constexpr BadCase kBadKeysAndValues[] = {
    {"unknown key at the top", kGateway, "lanes: 4", "lane: 4",
     "p:25:1: lane: expected one of role, node, state_dir, ownership, cores, memory, eal_args, "
     "listen_port, "
     "ports, "
     "crypto, lanes, limits, peers, enrolment, policy, admin, events, got lane (did you mean "
     "lanes?)"},
    {"unknown key far from all", kGateway, "lanes: 4", "zebra: 4",
     "p:25:1: zebra: expected one of role, node, state_dir, ownership, cores, memory, eal_args, "
     "listen_port, "
     "ports, "
     "crypto, lanes, limits, peers, enrolment, policy, admin, events, got zebra"},
    {"unknown key in a port", kGateway, "    mtu: 1400", "    mtuu: 1400",
     "p:13:5: ports[0].mtuu: expected one of name, pci, vdev, role, mtu, queues, rx_descriptors, "
     "tx_descriptors, addresses, gateways, routes, neighbors, answer_for_peers, got mtuu (did you "
     "mean mtu?)"},
    {"unknown key in a policy section", kGateway, "quality_floor: 0.95", "quality: 0.95",
     "p:39:16: policy.volatility.quality: expected one of heartbeat_interval_ms, "
     "heartbeat_volatile_ms, transport_dead_ms, detection, detection_floor_ms, loss_window_ms, "
     "loss_min_samples, "
     "loss_volatile_threshold, jitter_volatile_ms, latency_volatile_ms, quality_floor, "
     "stability_window_ms, volatile_to_recovering_ms, volatile_to_degraded_ms, max_flaps_per_min, "
     "got quality (did you mean quality_floor?)"},
    {"unknown key in an inner map", kGateway, "via: 10.99.0.7}", "via: 10.99.0.7, metric: 5}",
     "p:20:49: ports[1].routes[0].metric: expected one of to, via, got metric"},
    {"unknown section of the policy", kGateway, "  volatility: {", "  volatile: {",
     "p:39:3: policy.volatile: expected one of version, session, volatility, switching, transport, "
     "security, observability, got volatile (did you mean volatility?)"},
    {"key in line is refused, not repeated", kGateway, "  private_key_file: gw.key",
     "  private_key: dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
     "p:22:3: crypto.private_key_file: expected the path of a file that holds the key, got "
     "nothing\np:22:3: crypto.private_key: expected one of private_key_file, suites, "
     "rekey_after_ms, rekey_after_packets, key_log_file, got private_key (did you mean "
     "private_key_file?)"},
    {"key in the place of its file", kGateway, "private_key_file: gw.key",
     "private_key_file: dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
     "p:22:21: crypto.private_key_file: expected the path of a file that holds the key, got "
     "something else (not shown, it may be a secret)"},
    {"answering that is a number", kGateway, "    role: inside",
     "    role: inside\n    answer_for_peers: 1",
     "p:19:23: ports[1].answer_for_peers: expected true or false, got 1"},
    {"duplicated key", kGateway, "    queues: 2", "    mtu: 1500",
     "p:14:5: ports[0].mtu: expected each key once, got it again (first at line 13)"},
    {"duplicated section", kGateway, "admin: {", "lanes: 2\nadmin: {",
     "p:42:1: lanes: expected each key once, got it again (first at line 25)"},
    {"key that is a list", kGateway, "lanes: 4", "[lanes]: 4",
     "p:25:1: profile: expected keys that are words, got a list"},
    {"empty key", kGateway, "lanes: 4", "\"\": 4",
     "p:25:1: profile: expected keys that are words, got an empty text"},
    {"integer as word", kGateway, "mtu: 1400", "mtu: big",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got big"},
    {"integer as text", kGateway, "mtu: 1400", "mtu: \"1400\"",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got \"1400\""},
    {"integer with fraction", kGateway, "mtu: 1400", "mtu: 1400.5",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got 1400.5"},
    {"integer as list", kGateway, "mtu: 1400", "mtu: [1400]",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got a list"},
    {"integer as map", kGateway, "mtu: 1400", "mtu: {a: 1400}",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got a map"},
    {"integer missing its value", kGateway, "mtu: 1400",
     "mtu:", "p:13:5: ports[0].mtu: expected an integer from 1280 to 9216, got nothing"},
    {"integer as null", kGateway, "mtu: 1400", "mtu: ~",
     "p:13:5: ports[0].mtu: expected an integer from 1280 to 9216, got nothing"},
    {"integer in hexadecimal", kGateway, "mtu: 1400", "mtu: 0x578",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got 0x578"},
    {"integer beyond 64 bits", kGateway, "mtu: 1400", "mtu: 18446744073709551617",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got 18446744073709551617"},
    {"negative integer", kGateway, "mtu: 1400", "mtu: -1",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got -1"},
    {"below the range", kGateway, "mtu: 1400", "mtu: 1279",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got 1279"},
    {"above the range", kGateway, "mtu: 1400", "mtu: 9217",
     "p:13:10: ports[0].mtu: expected an integer from 1280 to 9216, got 9217"},
    {"not a power of two", kGateway, "rx_descriptors: 512", "rx_descriptors: 1000",
     "p:15:21: ports[0].rx_descriptors: expected a power of two from 64 to 16384, got 1000"},
    {"ring not a power of two", kGateway, "control_ring: 256", "control_ring: 300",
     "p:26:50: limits.control_ring: expected a power of two from 16 to 65536, got 300"},
    {"boolean as yes", kGateway, "hugepages: true", "hugepages: yes",
     "p:4:21: memory.hugepages: expected true or false, got yes"},
    {"decimal out of range", kGateway, "quality_floor: 0.95", "quality_floor: 1.5",
     "p:39:31: policy.volatility.quality_floor: expected a number from 0.0001 to 1, got 1.5"},
    {"decimal not a number", kGateway, "quality_floor: 0.95", "quality_floor: .nan",
     "p:39:31: policy.volatility.quality_floor: expected a number from 0.0001 to 1, got .nan"},
    {"decimal infinite", kGateway, "quality_floor: 0.95", "quality_floor: inf",
     "p:39:31: policy.volatility.quality_floor: expected a number from 0.0001 to 1, got inf"},
    {"attachable without hugepages", kGateway, "memory: {hugepages: true, megabytes: 384}",
     "memory: {hugepages: false, attachable: true}",
     "p:4:40: memory.attachable: expected hugepages: true with it, as tools attach to these, got "
     "false"},
    {"section as scalar", kGateway, "memory: {hugepages: true, megabytes: 384}", "memory: 384",
     "p:4:9: memory: expected a map, got 384"},
    {"section as nothing", kGateway, "memory: {hugepages: true, megabytes: 384}",
     "memory:", "p:4:1: memory: expected a map, got nothing"},
    {"list as scalar", kGateway, "addresses: [10.99.0.1/24]", "addresses: 10.99.0.1/24",
     "p:19:16: ports[1].addresses: expected a list of 1 to 16 items, each an address with its "
     "prefix length such as 192.0.2.1/24, got 10.99.0.1/24"},
    {"list as map", kGateway, "eal_args: [\"--iova-mode=va\"]", "eal_args: {iova: va}",
     "p:5:11: eal_args: expected a list of 0 to 64 items, each printable text of 1 to 1024 bytes, "
     "got a map"},
    {"no prefix length", kGateway, "addresses: [10.99.0.1/24]", "addresses: [10.99.0.1]",
     "p:19:17: ports[1].addresses[0]: expected an address with its prefix length such as "
     "192.0.2.1/24, got 10.99.0.1"},
    {"empty list", kGateway, "addresses: [10.99.0.1/24]", "addresses: []",
     "p:19:16: ports[1].addresses: expected a list of 1 to 16 items, each an address with its "
     "prefix length such as 192.0.2.1/24, got 0 items"},
    {"list item of a wrong type", kGateway, "workers: [0, 1]", "workers: [0, [1]]",
     "p:3:34: cores.workers[1]: expected an integer from 0 to 1023, got a list"},
    {"list item out of range", kGateway, "workers: [0, 1]", "workers: [0, 9999]",
     "p:3:34: cores.workers[1]: expected an integer from 0 to 1023, got 9999"},
    {"list item empty", kGateway, "workers: [0, 1]", "workers: [0, ~]",
     "p:3:30: cores.workers[1]: expected an integer from 0 to 1023, got nothing"},
    {"peer is no map", kGateway,
     "  - name: edge\n    public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n    "
     "allowed_ips: [10.77.0.3/32]",
     "  - edge", "p:33:5: peers[1]: expected a map, got edge"},
    {"word unknown to a choice", kGateway, "idle: adaptive", "idle: sleepy",
     "p:3:44: cores.idle: expected one of poll, adaptive, got sleepy"},
    {"burst over the limit", kGateway, "idle: adaptive", "idle: adaptive, burst: 65",
     "p:3:61: cores.burst: expected an integer from 1 to 64, got 65"},
    {"prefetch over the limit", kGateway, "idle: adaptive", "idle: adaptive, prefetch_ahead: 17",
     "p:3:70: cores.prefetch_ahead: expected an integer from 0 to 16, got 17"},
    {"unknown suite", kGateway, "chacha20-poly1305]", "rot13]",
     "p:23:25: crypto.suites[1]: expected one of aes-128-gcm, aes-256-gcm, chacha20-poly1305, got "
     "rot13"},
    {"suite twice", kGateway, "chacha20-poly1305]", "aes-128-gcm]",
     "p:23:25: crypto.suites[1]: expected each suite once, got aes-128-gcm (as crypto.suites[0])"},
    {"name with a space", kGateway, "name: lan", "name: my lan",
     "p:16:11: ports[1].name: expected a name of 1 to 31 letters, digits, '_', '-' or '.', got my "
     "lan"},
    {"name with a slash", kGateway, "node: gw1", "node: ../gw1",
     "p:2:7: node: expected a name of 1 to 63 letters, digits, '_', '-' or '.', got ../gw1"},
    {"name of dots", kGateway, "node: gw1", "node: ..",
     "p:2:7: node: expected a name of 1 to 63 letters, digits, '_', '-' or '.', got .."},
    {"long echo is cut", kGateway, "node: gw1",
     "node: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "p:2:7: node: expected a name of 1 to 63 letters, digits, '_', '-' or '.', got "
     "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
    {"control characters are not repeated", kGateway, "node: gw1", "node: \"a\\e[2J\\nb\"",
     "p:2:7: node: expected a name of 1 to 63 letters, digits, '_', '-' or '.', got \"a?[2J?b\""},
    {"missing role", kGateway, "role: gateway\n", "", "p:1:1: role: expected gateway, got nothing"},
    {"unknown role", kGateway, "role: gateway", "role: router",
     "p:1:7: role: expected gateway, got something else (not shown, it may be a secret)"},
    {"slip in a role", kGateway, "role: gateway", "role: gatway",
     "p:1:7: role: expected gateway, got gatway"},
    {"role of the other program", kGateway, "role: gateway", "role: client",
     "p:1:7: role: expected gateway, got client"},
    {"missing node", kGateway, "node: gw1\n", "",
     "p:1:1: node: expected a name of 1 to 63 letters, digits, '_', '-' or '.', got nothing"},
    {"missing cores", kGateway, "cores: {control: 0, workers: [0, 1], idle: adaptive}\n", "",
     "p:1:1: cores: expected a map, got nothing"},
    {"missing workers", kGateway, "workers: [0, 1], ", "",
     "p:3:8: cores.workers: expected a list of 1 to 32 items, each an integer from 0 to 1023, got "
     "nothing"},
    {"missing ports", kGateway, "ports:", "# ports:\nadmin2:",
     "p:1:1: ports: expected a list of 1 to 16 items, each a map, got nothing\np:8:1: admin2: "
     "expected one of role, node, state_dir, ownership, cores, memory, eal_args, listen_port, "
     "ports, crypto, "
     "lanes, "
     "limits, peers, enrolment, policy, admin, events, got admin2 (did you mean admin?)"},
    {"missing port name", kGateway, "  - name: lan\n    pci", "  - pci",
     "p:16:5: ports[1].name: expected a name of 1 to 31 letters, digits, '_', '-' or '.', got "
     "nothing"},
    {"missing port role", kGateway, "    role: inside\n", "",
     "p:16:5: ports[1].role: expected one of outside, inside, got nothing"},
    {"missing addresses", kGateway, "    addresses: [10.99.0.1/24]\n", "",
     "p:16:5: ports[1].addresses: expected a list of 1 to 16 items, each an address with its "
     "prefix length such as 192.0.2.1/24, got nothing"},
    {"missing private key file", kGateway, "  private_key_file: gw.key\n", "",
     "p:22:3: crypto.private_key_file: expected the path of a file that holds the key, got "
     "nothing"},
    {"missing peers", kGateway, "peers:", "peer:",
     "p:27:1: peer: "
     "expected one of role, node, state_dir, ownership, cores, memory, eal_args, listen_port, "
     "ports, crypto, "
     "lanes, "
     "limits, peers, enrolment, policy, admin, events, got peer (did you mean peers?)"},
    {"missing public key", kGateway,
     "    public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n", "",
     "p:33:5: peers[1].public_key: expected a public key of 32 bytes in base64, got nothing"},
    {"missing allowed_ips", kGateway, "    allowed_ips: [10.77.0.3/32]\n", "",
     "p:33:5: peers[1].allowed_ips: expected a list of 1 to 1024 items, each a network with its "
     "host bits zero such as 10.0.0.0/8, got nothing"},
    {"missing policy version", kGateway, "  version: 7\n", "",
     "p:37:3: policy.version: expected an integer from 1 to 4294967295, got nothing"},
    {"missing via", kGateway, ", via: 10.99.0.7", "",
     "p:20:14: ports[1].routes[0].via: expected an IP address of a host, got nothing"},
    {"missing socket", kGateway, "{socket: /run/jvpn/gw1.sock}", "{}",
     "p:42:8: admin.socket: expected printable text of 1 to 107 bytes, got nothing"},
    {"socket path too long", kGateway, "/run/jvpn/gw1.sock",
     "/run/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaa",
     "p:42:17: admin.socket: expected printable text of 1 to 107 bytes, got "
     "/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
    {"several findings, in order", kGateway, "mtu: 1400\n    queues: 2", "queues: 99\n    mtu: 1",
     "p:13:13: ports[0].queues: expected an integer from 0 to 2, got 99\np:14:10: ports[0].mtu: "
     "expected an integer from 1280 to 9216, got 1"},
    {"events without sinks", kClient, "policy: {version: 1}", "policy: {version: 1}\nevents: {}",
     "p:13:9: events.sinks: expected a list of 0 to 8 items, each a map, got nothing"},
    {"sinks as words", kClient, "policy: {version: 1}",
     "policy: {version: 1}\nevents: {sinks: [stdout]}",
     "p:13:18: events.sinks[0]: expected a map, got stdout"},
    {"unknown kind of sink", kGateway, "admin: {",
     "events: {sinks: [{kind: pipe, path: x}]}\nadmin: {",
     "p:42:25: events.sinks[0].kind: expected one of stdout, file, unix, syslog, collector, got "
     "pipe"},
    {"sink without a kind", kGateway, "admin: {", "events: {sinks: [{path: x}]}\nadmin: {",
     "p:42:18: events.sinks[0].kind: expected one of stdout, file, unix, syslog, collector, got "
     "nothing"},
    {"file sink without a path", kGateway, "admin: {", "events: {sinks: [{kind: file}]}\nadmin: {",
     "p:42:18: events.sinks[0].path: expected printable text of 1 to 4095 bytes, got nothing"},
    {"path of a sink that has none", kGateway, "admin: {",
     "events: {sinks: [{kind: syslog, path: x}]}\nadmin: {",
     "p:42:39: events.sinks[0].path: expected no path for a sink of kind syslog, got x"},
    {"socket path of a sink too long", kGateway, "admin: {",
     "events: {sinks: [{kind: unix, path: "
     "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaa"
     "aaaaaaaaaaaaaaaaa}]}\nadmin: {",
     "p:42:37: events.sinks[0].path: expected printable text of 1 to 107 bytes, got "
     "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
    {"same sink twice", kGateway, "admin: {",
     "events: {sinks: [{kind: stdout}, {kind: stdout}]}\nadmin: {",
     "p:42:41: events.sinks[1].kind: expected each sink once, got stdout (as "
     "events.sinks[0].kind)"},
    {"same path twice", kGateway, "admin: {",
     "events: {sinks: [{kind: file, path: a}, {kind: unix, path: a}]}\nadmin: {",
     "p:42:60: events.sinks[1].path: expected each sink once, got a (as events.sinks[0].path)"},
    {"two documents", kGateway, "admin: {", "---\nadmin: {",
     "p:42:1: profile: expected one YAML document, got more after its end"},
    {"stray comma, on which YAML::LoadAll() never ends", kGateway, "role: gateway",
     ", role: gateway", "p:1:1: profile: expected one YAML document, got more after its end"},
    {"stray comma after the end", kGateway, "gw1.sock}\n", "gw1.sock}\n...\n,\n",
     "p:44:1: profile: expected one YAML document, got more after its end"},
    {"stray bracket", kGateway, "gw1.sock}\n", "gw1.sock}\n]\n",
     "p:43:1: profile: expected valid YAML, got illegal flow end"},
    {"open flow list", kGateway, "workers: [0, 1], idle", "workers: [0, 1, idle",
     "p:3:51: profile: expected valid YAML, got illegal flow end"},
    {"tab", kGateway, "    mtu: 1400", "\tmtu: 1400",
     "p:13:1: profile: expected an indentation of spaces, got a tab"},
    {"open quote", kGateway, "node: gw1\n", "node: \"gw1\n",
     "p:2:7: profile: expected a quote that ends on its line, got one that doesn't"},
    {"open quote before the next quote", kGateway, "node: gw1\n", "node: 'gw1\n#'it's\n",
     "p:2:7: profile: expected a quote that ends on its line, got one that doesn't"},
    {"quote of two lines, then a slip", kGateway, "node: gw1\n", "node: \"gw\n  1\"\nmtu: *mtu\n",
     "p:4:6: profile: expected valid YAML, got the referenced anchor is not defined"},
    {"tab in a list, then a slip", kGateway, "node: gw1\n",
     "node: gw1\nx: [1,\n\t2]\ny: 1\nz: *z\n",
     "p:6:4: profile: expected valid YAML, got the referenced anchor is not defined"},
    {"unknown alias", kGateway, "mtu: 1400", "mtu: *mtu",
     "p:13:10: profile: expected valid YAML, got the referenced anchor is not defined"},
    {"bad indentation", kGateway, "    role: inside", "   role: inside",
     "p:18:4: profile: expected valid YAML, got end of sequence not found"},
    {"role of the other program, client", kClient, "role: client", "role: gateway",
     "p:1:7: role: expected client, got gateway"},
    {"key of the other program", kClient, "policy: {", "ports: []\npolicy: {",
     "p:12:1: ports: expected one of role, node, interface, crypto, underlays, gateway, dns, "
     "kill_switch, policy, admin, events, got ports"},
    {"missing gateway", kClient, "gateway:", "gate:",
     "p:1:1: gateway: expected a map, got nothing\np:8:1: gate: expected one of role, node, "
     "interface, crypto, underlays, gateway, dns, kill_switch, policy, admin, events, got gate "
     "(did you mean "
     "gateway?)"},
    {"missing endpoints", kClient, "  endpoints: [\"192.0.2.1:51900\"]\n", "",
     "p:9:3: gateway.endpoints: expected a list of 1 to 16 items, each an endpoint such as "
     "192.0.2.1:51900, [2001:db8::1]:51900 or vpn.example.org:51900, got nothing"},
    {"a name without a port", kClient, "192.0.2.1:51900", "vpn.example.org",
     "p:10:15: gateway.endpoints[0]: expected an endpoint such as 192.0.2.1:51900, "
     "[2001:db8::1]:51900 or vpn.example.org:51900, got \"vpn.example.org\""},
    {"an address that isn't whole is no name", kClient, "192.0.2.1:51900", "192.0.2:51900",
     "p:10:15: gateway.endpoints[0]: expected an endpoint such as 192.0.2.1:51900, "
     "[2001:db8::1]:51900 or vpn.example.org:51900, got \"192.0.2:51900\""},
    {"name servers without one", kClient, "policy: {", "dns: {domains: [corp.example]}\npolicy: {",
     "p:12:6: dns.servers: expected a list of 1 to 8 items, each an IP address of a host, got "
     "nothing"},
    {"a domain with a space", kClient, "policy: {",
     "dns: {servers: [10.77.0.1], domains: [\"corp example\"]}\npolicy: {",
     "p:12:39: dns.domains[0]: expected a domain such as corp.example, or ~. for every name, got "
     "\"corp example\""},
    {"nameless gateway", kClient, "  allowed_ips",
     "  cluster: [{endpoints: [\"192.0.2.2:51900\"]}]\n  allowed_ips",
     "p:11:13: gateway.cluster[0].name: expected a name of 1 to 63 letters, digits, '_', '-' or "
     "'.', got nothing"},
    {"gateway without endpoints", kClient, "  allowed_ips",
     "  cluster: [{name: b, endpoints: []}]\n  allowed_ips",
     "p:11:34: gateway.cluster[0].endpoints: expected a list of 1 to 16 items, each an endpoint "
     "such as 192.0.2.1:51900, [2001:db8::1]:51900 or vpn.example.org:51900, got 0 items"},
    {"gateway with a key of its own", kClient, "  allowed_ips",
     "  cluster: [{name: b, endpoints: [\"192.0.2.2:51900\"], public_key: x}]\n  allowed_ips",
     "p:11:55: gateway.cluster[0].public_key: expected one of name, endpoints, got public_key"},
    {"gateways of one name", kClient, "  allowed_ips",
     "  cluster: [{name: b, endpoints: [\"192.0.2.2:1\"]}, {name: b, endpoints: "
     "[\"192.0.2.3:1\"]}]\n  allowed_ips",
     "p:11:59: gateway.cluster[1].name: expected a name that no other gateway of the cluster has, "
     "got b (as gateway.cluster[0].name)"},
    {"missing underlays", kClient, "underlays:", "underlay:",
     "p:1:1: underlays: expected a list of 1 to 16 items, each a map, got nothing\np:5:1: "
     "underlay: "
     "expected one of role, node, interface, crypto, underlays, gateway, dns, kill_switch, policy, "
     "admin, events, "
     "got "
     "underlay (did you mean underlays?)"},
    {"missing device", kClient, ", device: wwan0", "",
     "p:7:5: underlays[1].device: expected a name of 1 to 15 letters, digits, '_', '-' or '.', got "
     "nothing"},
    {"device name too long", kClient, "device: wwan0", "device: wwan0123456789ab",
     "p:7:25: underlays[1].device: expected a name of 1 to 15 letters, digits, '_', '-' or '.', "
     "got "
     "wwan0123456789ab"},
    {"same underlay name", kClient, "name: lte", "name: wifi",
     "p:7:12: underlays[1].name: expected a name that no other underlay has, got wifi (as "
     "underlays[0].name)"},
    {"same device and source", kClient, "{name: lte, device: wwan0}",
     "{name: lte, device: wlan0, source: 192.0.2.2}",
     "p:7:25: underlays[1].device: expected a device and source that no other underlay has, got "
     "wlan0 from 192.0.2.2 (as underlays[0].device)"},
    {"bad source", kClient, "source: 192.0.2.2", "source: 192.0.2.2/24",
     "p:6:41: underlays[0].source: expected an IP address of a host, got 192.0.2.2/24"},
    {"prefix twice", kClient, "\"fd99::/64\"]", "10.99.0.0/24]",
     "p:11:31: gateway.allowed_ips[1]: expected each prefix once, got 10.99.0.0/24 (as "
     "gateway.allowed_ips[0])"},
    {"interface mtu", kClient, "mtu: 1380", "mtu: 500",
     "p:3:31: interface.mtu: expected an integer from 1280 to 9216, got 500"},
};

TEST(ProfileFindings, NameThePlaceAndWhatWasExpected) {
  for (const BadCase& c : kBadKeysAndValues) check(c);
}

}  // namespace
}  // namespace jvpn::test
