// Every way a packet can end other than delivered. Counted per worker, listed by `jvpn show`.
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

struct DropInfo {
  const char* name;     ///< snake_case, stable
  const char* meaning;  ///< one line for an operator
};

inline constexpr std::array<DropInfo, kDropCount> kDropInfo{{
    {"truncated", "shorter than its own headers say, or than they must be"},
    {"merged", "larger than the link's MTU: offloads of the sender or this host merged packets"},
    {"not_for_us", "unicast to an address that is not this port's"},
    {"ether_type", "neither IPv4, IPv6 nor ARP"},
    {"ip_header", "IP version, header length or total length is wrong"},
    {"ip_options", "IPv4 options or IPv6 extension headers before UDP"},
    {"ip_checksum", "outer IPv4 header checksum is wrong"},
    {"fragment", "outer IP fragment; JVP/1 never sends any"},
    {"protocol", "IP protocol that this port doesn't take"},
    {"udp_port", "UDP to a port that nothing listens on"},
    {"message_type", "no JVP/1 message type, or one that is not taken here"},
    {"reserved", "reserved bits of a JVP/1 header are set"},
    {"message_length", "JVP/1 message too short or of the wrong size"},
    {"no_room", "no headroom or tailroom for the tunnel's headers, or a multi-segment packet"},
    {"unknown_index", "receiver index names no live key of ours"},
    {"no_route", "inner destination belongs to no peer and no inside network"},
    {"no_binding", "the peer has no session with an active transport"},
    {"key_exhausted", "the lane used up its packets under this key"},
    {"session_expired", "the session or its keys ended"},
    {"not_owned",
     "the cluster's store wasn't reached for so long that another may own the session"},
    {"bad_tag", "authentication tag is wrong"},
    {"lane_unknown", "lane was not announced, or was retired"},
    {"replay_duplicate", "counter seen before"},
    {"replay_too_old", "counter behind the replay window"},
    {"unawaited_answer",
     "answer to a handshake of an index that waits for none, or reset of one we don't send to"},
    {"control_rate", "more messages for one index than any honest peer sends"},
    {"unconfirmed_source", "control message from elsewhere for a session that isn't confirmed yet"},
    {"bad_mac", "handshake message whose mac1 is wrong"},
    {"cookie_rate",
     "handshake without a cookie while they come too fast, and more of them than are answered"},
    {"handshake_repeated", "handshake with a cookie that was here before"},
    {"handshake_share", "more handshakes with a cookie from one address than any honest one sends"},
    {"inner_header", "opened packet is no sound IPv4 or IPv6 packet"},
    {"inner_source", "inner source is not the peer's by its allowed_ips"},
    {"ttl_expired", "inner TTL or hop limit ran out; ICMP sent"},
    {"too_big", "larger than the next link's MTU; ICMP sent"},
    {"oversize_limit", "larger than the peer's path, and too many of them in a second"},
    {"next_hop_unresolved", "link-layer address of the next hop is not known yet"},
    {"handoff_full", "ring to the lane's owner was full"},
    {"control_ring_full", "ring to the control core was full"},
    {"tx_full", "the port did not take the packet"},
}};
static_assert(kDropInfo.back().name != nullptr);

}  // namespace jvpn
