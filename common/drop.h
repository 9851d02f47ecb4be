// Every way a packet can end other than delivered. Counted per worker, listed by `jvpn drops`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace jvpn {

enum class Drop : uint8_t {
  // rx and classify
  kTruncated,
  kMerged,
  kNotForUs,
  kEtherType,
  kIpHeader,
  kIpOptions,
  kIpChecksum,
  kFragment,
  kProtocol,
  kUdpPort,
  kMessageType,
  kReserved,
  kMessageLength,
  kNoRoom,
  // lookup, route and number
  kUnknownIndex,
  kNoRoute,
  kNoBinding,
  kHoldFull,
  kHoldLate,
  kKeyExhausted,
  kSessionExpired,
  kNotOwned,
  // replay, open, source and route
  kBadTag,
  kLaneUnknown,
  kReplayDuplicate,
  kReplayTooOld,
  kUnawaitedAnswer,
  kControlRate,
  kUnconfirmedSource,
  kBadMac,
  kCookieRate,
  kHandshakeRepeated,
  kHandshakeShare,
  kInnerHeader,
  kInnerSource,
  kTtlExpired,
  kTooBig,
  kOversizeLimit,
  // route, hand-off and tx
  kNextHopUnresolved,
  kHandoffFull,
  kControlRingFull,
  kTxFull,
  kCount
};
inline constexpr size_t kDropCount = static_cast<size_t>(Drop::kCount);

/// `jvpn drops` prints it, and tests/layout/check_documented.py writes docs/EVENTS.md with it.
struct DropInfo {
  const char* name;     ///< snake_case, stable
  const char* meaning;  ///< one line for an operator
  const char* mend;     ///< what to do when its count keeps rising, with Markdown's backquotes
};

inline constexpr std::array<DropInfo, kDropCount> kDropInfo{{
    {"truncated", "shorter than its own headers say, or than they must be",
     "offloads of a kernel interface at the other end: `ethtool -K … tx off gro off lro off`; else "
     "a bad cable or NIC"},
    {"merged", "larger than the link's MTU: offloads of the sender or this host merged packets",
     "offloads of a kernel interface at the other end: `ethtool -K … tx off gro off lro off`; else "
     "a bad cable or NIC"},
    {"not_for_us", "unicast to an address that is not this port's",
     "nothing: broadcasts and scanners; in the gateway's own network, look who sends it"},
    {"ether_type", "neither IPv4, IPv6 nor ARP",
     "nothing: broadcasts and scanners; in the gateway's own network, look who sends it"},
    {"ip_header", "IP version, header length or total length is wrong",
     "offloads of a kernel interface at the other end: `ethtool -K … tx off gro off lro off`; else "
     "a bad cable or NIC"},
    {"ip_options", "IPv4 options or IPv6 extension headers before UDP",
     "nothing: broadcasts and scanners; in the gateway's own network, look who sends it"},
    {"ip_checksum", "outer IPv4 header checksum is wrong",
     "offloads of a kernel interface at the other end: `ethtool -K … tx off gro off lro off`; else "
     "a bad cable or NIC"},
    {"fragment", "outer IP fragment; JVP/1 never sends any",
     "something on the way fragments UDP, which JVP/1 never sends so large: the path's MTU, a "
     "tunnel in between"},
    {"protocol", "IP protocol that this port doesn't take",
     "nothing: broadcasts and scanners; in the gateway's own network, look who sends it"},
    {"udp_port", "UDP to a port that nothing listens on",
     "nothing: broadcasts and scanners; in the gateway's own network, look who sends it"},
    {"message_type", "no JVP/1 message type, or one that is not taken here",
     "another protocol, an old client, or somebody who probes"},
    {"reserved", "reserved bits of a JVP/1 header are set",
     "another protocol, an old client, or somebody who probes"},
    {"message_length", "JVP/1 message too short or of the wrong size",
     "another protocol, an old client, or somebody who probes"},
    {"no_room", "no headroom or tailroom for the tunnel's headers, or a multi-segment packet",
     "packets too large for the buffers: `mtu` of the ports"},
    {"unknown_index", "receiver index names no live key of ours",
     "late packets after a restart or a rekey; many from one address: an attack, `jvpn events`"},
    {"no_route", "inner destination belongs to no peer and no inside network",
     "`ports[].routes` or a peer's `allowed_ips` lacks the destination"},
    {"no_binding", "the peer has no session with an active transport",
     "hosts send to a peer that isn't there: is it up?"},
    {"hold_full", "waited for a path, and newer ones had taken all of hold_bytes",
     "a session had no path for longer than its hold reaches: `hold_bytes`, `hold_ms`"},
    {"hold_late", "waited for a path for longer than hold_ms",
     "a session had no path for longer than its hold reaches: `hold_bytes`, `hold_ms`"},
    {"key_exhausted", "the lane used up its packets under this key",
     "control stood still, or sessions ended with traffic under way: `jvpn health`"},
    {"session_expired", "the session or its keys ended",
     "control stood still, or sessions ended with traffic under way: `jvpn health`"},
    {"not_owned", "the cluster's store wasn't reached for so long that another may own the session",
     "the cluster's store isn't reached: `jvpn health`, etcd"},
    {"bad_tag", "authentication tag is wrong",
     "late packets after a restart or a rekey; many from one address: an attack, `jvpn events`"},
    {"lane_unknown", "lane was not announced, or was retired",
     "late packets after a restart or a rekey; many from one address: an attack, `jvpn events`"},
    {"replay_duplicate", "counter seen before",
     "a path that duplicates or reorders far; or somebody who repeats"},
    {"replay_too_old", "counter behind the replay window",
     "a path that duplicates or reorders far; or somebody who repeats"},
    {"unawaited_answer",
     "answer to a handshake of an index that waits for none, or reset of one we don't send to",
     "another protocol, an old client, or somebody who probes"},
    {"control_rate", "more messages for one index than any honest peer sends",
     "one peer, or all, send more control messages than control takes: `jvpn events`, "
     "`control.turns` of `jvpn show --json`"},
    {"unconfirmed_source", "control message from elsewhere for a session that isn't confirmed yet",
     "nothing: a client whose first messages came from two addresses"},
    {"bad_mac", "handshake message whose mac1 is wrong",
     "another protocol, an old client, or somebody who probes"},
    {"cookie_rate",
     "handshake without a cookie while they come too fast, and more of them than are answered",
     "a flood of handshakes, or very many clients at once: `limits.handshakes_per_s`"},
    {"handshake_repeated", "handshake with a cookie that was here before",
     "a flood of handshakes, or very many clients at once: `limits.handshakes_per_s`"},
    {"handshake_share", "more handshakes with a cookie from one address than any honest one sends",
     "a flood of handshakes, or very many clients at once: `limits.handshakes_per_s`"},
    {"inner_header", "opened packet is no sound IPv4 or IPv6 packet",
     "the peer's program is at fault: it tunnels what isn't IP"},
    {"inner_source", "inner source is not the peer's by its allowed_ips",
     "the peer's `allowed_ips` lacks an address that it sends from: `jvpn peer show NAME`"},
    {"ttl_expired", "inner TTL or hop limit ran out; ICMP sent",
     "a loop between routers if it rises fast: routes inside"},
    {"too_big", "larger than the next link's MTU; ICMP sent",
     "nothing: hosts are told by ICMP, and send less"},
    {"oversize_limit", "larger than the peer's path, and too many of them in a second",
     "a host that ignores ICMP"},
    {"next_hop_unresolved", "link-layer address of the next hop is not known yet",
     "ARP or ND gets no answer: the inside host or router is down, or `gateways` is wrong"},
    {"handoff_full", "ring to the lane's owner was full", "too few workers, or the port is full"},
    {"control_ring_full", "ring to the control core was full",
     "one peer, or all, send more control messages than control takes: `jvpn events`, "
     "`control.turns` of `jvpn show --json`"},
    {"tx_full", "the port did not take the packet", "too few workers, or the port is full"},
}};
static_assert(kDropInfo.back().mend != nullptr);

}  // namespace jvpn
