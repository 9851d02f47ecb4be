// The YAML profile as plain values, parsed and checked with line and column. Text in, values out:
// files are read by control/admin/profile_file.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/ip.h"
#include "common/limits.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/policy.h"
#include "common/result.h"
#include "common/types.h"

namespace jvpn {

/// Where a value stands in the profile; both count from 1.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// A path to a secret's file, with its place so that a missing file can be reported there.
struct FileReference {
  std::string path;
  std::string key;  ///< dotted key, e.g. `crypto.private_key_file`
  Place place;
  /// The same file, wherever the profile names it.
  bool operator==(const FileReference& other) const { return path == other.path; }
};

struct CryptoProfile {
  FileReference private_key_file;
  FileReference key_log_file{};  ///< where traffic keys are written in the clear; no path: nowhere
  std::vector<Suite> suites{
      Suite::kAes128Gcm};  ///< client: first is offered; gateway: all are allowed
  Millis rekey_after{120'000};
  uint64_t rekey_after_packets = uint64_t{1} << 28;
  bool operator==(const CryptoProfile&) const = default;
};

/// A further gateway of the peer's cluster: another machine with the same key pair and sessions.
struct ClusterGateway {
  std::string name;
  std::vector<Endpoint> endpoints;
  bool operator==(const ClusterGateway&) const = default;
};

/// An endpoint whose address a name server knows; clients alone have such.
struct NamedEndpoint {
  std::string host;  ///< as DNS names it
  uint16_t port = 0;
  GatewayNumber gateway;  ///< whose endpoint it is
  bool operator==(const NamedEndpoint&) const = default;
};
/// `vpn.example.org:51900`.
std::string to_string(const NamedEndpoint& endpoint);

struct PeerProfile {
  std::string name;
  PublicKey public_key{};
  std::optional<FileReference> preshared_key_file;
  std::vector<Prefix> allowed_ips;        ///< networks, host bits zero
  std::vector<Endpoint> endpoints;        ///< of the first gateway, which has the peer's name
  std::vector<ClusterGateway> cluster{};  ///< the others; names and endpoints are unique
  std::vector<NamedEndpoint> named{};     ///< beside the addresses, behind them by preference
  bool enrolled = false;                  ///< has a file of its own beside the profile
  bool disabled = false;                  ///< keeps its addresses, and has no session
  bool operator==(const PeerProfile&) const = default;
};

/// The endpoints of all gateways of a peer, by preference; the first gateway is number 0.
std::vector<GatewayEndpoint> gateway_endpoints(const PeerProfile& peer);
/// The same without the gateways.
std::vector<Endpoint> all_endpoints(const PeerProfile& peer);
/// The name of the gateway that listens there; empty: none does.
std::string gateway_name(const PeerProfile& peer, const Endpoint& remote);
/// The peer with these addresses added to each gateway's own; `found[n]`: those of `peer.named[n]`.
/// What is there already is not added, nor more than kMaxEndpoints in all.
PeerProfile with_addresses(const PeerProfile& peer,
                           const std::vector<std::vector<IpAddress>>& found);

/// Where a client reaches its gateway by TCP with TLS 1.3 (jvpn-fallback), and how it knows it.
struct FallbackProfile {
  std::vector<Endpoint> endpoints;  ///< of the first gateway, by preference; none: no such way
  FileReference ca_file;    ///< PEM: who vouches for its certificate; no path: the pins alone
  std::string server_name;  ///< in the certificate; empty: the endpoint's address is
  std::vector<std::array<uint8_t, 32>> public_keys;  ///< SHA-256 of each that it may have
  bool operator==(const FallbackProfile&) const = default;
};

/// All endpoints of a client's gateways, by TCP, too: they stay outside the tunnel.
std::vector<Endpoint> outer_endpoints(const PeerProfile& gateway, const FallbackProfile& fallback);
/// The gateways of a client's paths, by UDP and by TCP.
std::vector<GatewayEndpoint> path_gateways(const PeerProfile& gateway,
                                           const FallbackProfile& fallback);
/// The name of the gateway that listens there, by UDP or by TCP; empty: none does.
std::string gateway_name(const PeerProfile& gateway, const FallbackProfile& fallback,
                         const Endpoint& remote);

enum class PortRole : uint8_t { kOutside, kInside };

struct PortRoute {
  Prefix to;
  IpAddress via;
  bool operator==(const PortRoute&) const = default;
};

/// The device's name within DPDK: a vdev's before its arguments.
inline std::string vdev_name(const std::string& vdev) {
  return vdev.substr(0, vdev.find(','));
}

/// A neighbour whose address on the link never changes, whatever anybody says.
struct PortNeighbor {
  IpAddress address;
  std::array<uint8_t, 6> mac{};
  bool operator==(const PortNeighbor&) const = default;
};

struct PortProfile {
  std::string name;
  std::string pci;   ///< `0000:3b:00.0`; exactly one of pci and vdev is set
  std::string vdev;  ///< `net_af_xdp0,iface=wan0`
  PortRole role = PortRole::kOutside;
  std::vector<Prefix> addresses;    ///< interface addresses, host bits kept
  std::vector<IpAddress> gateways;  ///< default next hop, at most one per family
  std::vector<PortRoute> routes;
  std::vector<PortNeighbor> neighbors;
  bool answer_for_peers = false;  ///< inside: ARP and ND for peers whose sessions we carry
  uint16_t mtu = 1500;
  uint16_t queues = 0;  ///< 0: as many as the port and the workers allow
  uint16_t rx_descriptors = 1024;
  uint16_t tx_descriptors = 1024;
  bool operator==(const PortProfile&) const = default;
};

enum class IdleMode : uint8_t { kPoll, kAdaptive };

/// Of every worker's bursts.
struct WorkerTuning {
  uint16_t burst = kDefaultBurst;           ///< packets taken at once, ≤ kMaxBurst
  uint16_t prefetch_ahead = kDefaultAhead;  ///< packets between fetching a key and using it
  bool operator==(const WorkerTuning&) const = default;
};

struct CoresProfile {
  uint32_t control = 0;
  std::vector<uint32_t> workers;  ///< CPU of each worker; a CPU may carry several in the lab
  IdleMode idle = IdleMode::kPoll;
  WorkerTuning tuning;
  bool operator==(const CoresProfile&) const = default;
};

struct MemoryProfile {
  bool hugepages = true;
  bool attachable = false;  ///< by DPDK's own tools, secondary processes of root
  uint32_t megabytes = 512;
  bool operator==(const MemoryProfile&) const = default;
};

struct LimitsProfile {
  uint32_t sessions = 1024;           ///< peers that may hold a session at once; ≤ 2^20
  uint32_t mbufs = 16'384;            ///< data packets in flight
  uint32_t control_mbufs = 2'048;     ///< packets that control itself sends
  uint32_t hold_packets = 0;          ///< sent lately or waiting, held by each worker; 0: none
  uint32_t control_ring = 512;        ///< per worker and class, a power of two
  uint32_t handoff_ring = 512;        ///< per pair of workers, a power of two
  uint32_t handshakes_per_s = 1'000;  ///< above it cookies are demanded
  bool operator==(const LimitsProfile&) const = default;
};

struct AdminProfile {
  std::string socket;
  Place place{1, 1};  ///< of the socket's path; the profile's start when it is the default
  bool operator==(const AdminProfile& other) const { return socket == other.socket; }
};

enum class EventSinkKind : uint8_t { kStdout, kFile, kUnix, kSyslog, kCollector };
/// `stdout`, `file`, `unix`, `syslog`, `collector`.
const char* to_string(EventSinkKind kind);

enum class CollectorProtocol : uint8_t { kTcp, kUdp };
/// Where a collector of syslog messages is.
struct CollectorAddress {
  CollectorProtocol protocol = CollectorProtocol::kTcp;
  Endpoint endpoint;
  bool operator==(const CollectorAddress&) const = default;
};
/// `tcp://192.0.2.50:601`.
std::string to_string(const CollectorAddress& address);

struct EventSinkProfile {
  EventSinkKind kind = EventSinkKind::kStdout;
  std::string path;   ///< of a file, which is appended to, or of a stream socket that listens
  std::string key{};  ///< dotted, of the path
  Place place{};      ///< of the path
  CollectorAddress collector{};
  bool operator==(const EventSinkProfile& other) const {
    return kind == other.kind && path == other.path && collector == other.collector;
  }
  /// Where it goes to, as a person reads it; empty where the kind says it.
  std::string target() const {
    return kind == EventSinkKind::kCollector ? to_string(collector) : path;
  }
};

struct EventsProfile {
  std::vector<EventSinkProfile> sinks{EventSinkProfile{}};
  bool operator==(const EventsProfile&) const = default;
};

/// Where a gateway keeps its sessions, so that they outlive it.
struct StateProfile {
  std::string directory = "/var/lib/jvpn";  ///< empty: nowhere (`none`)
  Place place;                              ///< 0: the default
  bool operator==(const StateProfile& other) const { return directory == other.directory; }
};

/// etcd, as the store that several gateways share.
struct EtcdProfile {
  std::vector<std::string> endpoints;  ///< https://HOST:PORT; http:// on loopback alone
  std::string prefix = "jvpn";         ///< of this cluster's keys
  std::string ca_file;                 ///< empty: none; of https
  std::string certificate_file;
  std::string key_file;
  Place place;  ///< of its endpoints
  bool operator==(const EtcdProfile& other) const {
    return endpoints == other.endpoints && prefix == other.prefix && ca_file == other.ca_file &&
           certificate_file == other.certificate_file && key_file == other.key_file;
  }
};

/// Who may own a gateway's sessions beside itself.
struct OwnershipProfile {
  std::optional<EtcdProfile> etcd;  ///< none: they are this gateway's alone
  Millis safe_time{3'000};          ///< after it without the store a gateway is silent
  bool operator==(const OwnershipProfile&) const = default;
};

/// Where a gateway's peers have files of their own, and what `jvpn peer add` gives to new ones.
struct EnrolmentProfile {
  std::string directory = "peers.d";  ///< one file for each peer, `NAME.yaml`
  Place place;                        ///< of it; 0: the default
  std::vector<Prefix> pool;           ///< of inner addresses
  Place pool_place;
  std::vector<Endpoint> endpoints;  ///< that clients dial; none: those of the outside ports
  std::vector<Prefix> routes;  ///< into clients' tunnels; none: the networks of the inside ports
};

/// Profile of `jvpnd`.
struct GatewayProfile {
  std::string node;
  StateProfile state;
  OwnershipProfile ownership;
  CoresProfile cores;
  MemoryProfile memory;
  std::vector<std::string> eal_args;
  uint16_t listen_port = 51'900;
  std::vector<PortProfile> ports;
  CryptoProfile crypto;
  uint16_t lanes = 0;  ///< sending lanes of a session; 0: one per worker
  LimitsProfile limits;
  std::vector<PeerProfile> peers;
  EnrolmentProfile enrolment;
  Policy policy;
  Place policy_version;  ///< where policy.version stands
  EventsProfile events;
  AdminProfile admin;
};

struct InterfaceProfile {
  std::string name = "jvpn0";
  std::optional<uint16_t> mtu;  ///< none: from the smallest underlay
  bool operator==(const InterfaceProfile&) const = default;
};

/// The names that the tunnel's network answers for, while there is a session.
struct DnsProfile {
  std::vector<IpAddress> servers;
  /// Names below these are asked for there, and single words are tried with them; none, or `~.`:
  /// every name.
  std::vector<std::string> domains;
  bool operator==(const DnsProfile&) const = default;
};

struct UnderlayProfile {
  std::string name;
  std::string device;
  std::optional<IpAddress> source;
  bool operator==(const UnderlayProfile&) const = default;
};

/// Profile of `jvpn-client`.
struct ClientProfile {
  std::string node;
  InterfaceProfile interface;
  CryptoProfile crypto;
  std::vector<UnderlayProfile> underlays;
  PeerProfile gateway;
  FallbackProfile fallback;
  DnsProfile dns;            ///< no servers: the host's are left alone
  bool kill_switch = false;  ///< nothing leaves but by the tunnel
  Policy policy;
  Place policy_version;  ///< where policy.version stands
  EventsProfile events;
  AdminProfile admin;
};

enum class ProfileRole : uint8_t { kGateway, kClient };
/// Whose profile it is; nothing else of it is looked at.
Result<ProfileRole> profile_role(std::string_view yaml, std::string_view file);

/// Both parse whole or not at all. An Error's message has one line per finding, each
/// `file:line:column: key: expected …, got …`; `file` is only for these messages.
Result<GatewayProfile> parse_gateway_profile(std::string_view yaml, std::string_view file);
Result<ClientProfile> parse_client_profile(std::string_view yaml, std::string_view file);

/// `file:line:column: key: expected <expected>, got <got>`, the form of every profile error.
std::string profile_finding(std::string_view file, Place place, std::string_view key,
                            std::string_view expected, std::string_view got);

/// Base64 (RFC 4648) of a 32-byte key as WireGuard users know it, both ways.
std::string key_to_base64(const std::array<uint8_t, 32>& key);
std::optional<std::array<uint8_t, 32>> key_from_base64(std::string_view text);

/// `aes-128-gcm`, `aes-256-gcm`, `chacha20-poly1305`.
const char* to_string(Suite suite);

}  // namespace jvpn
