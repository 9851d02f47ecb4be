#include "control/neighbor/nd.h"

#include <algorithm>
#include <cstring>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr uint8_t kNdHops = 255;
constexpr size_t kFixedBytes = 24;  // type, code, checksum, flags, target
constexpr uint8_t kOptionSource = 1;
constexpr uint8_t kOptionTarget = 2;
constexpr uint8_t kFlagSolicited = 0x40;
constexpr uint8_t kFlagOverride = 0x20;

IpAddress v6_at(const uint8_t* at) {
  IpAddress address{Family::kIpv6, {}};
  std::copy_n(at, 16, address.bytes.begin());
  return address;
}

/// The link-layer address option of `wanted` type. False: an option is malformed.
bool read_options(std::span<const uint8_t> options, uint8_t wanted,
                  std::optional<EtherAddress>& link_layer) {
  while (!options.empty()) {
    if (options.size() < 8 || options[1] == 0) return false;
    const size_t bytes = size_t{options[1]} * 8;
    if (bytes > options.size()) return false;
    if (options[0] == wanted && bytes == 8 && !(options[2] & 1)) {
      link_layer.emplace();
      std::copy_n(options.begin() + 2, 6, link_layer->begin());
    }
    options = options.subspan(bytes);
  }
  return true;
}

/// Of the ICMPv6 message behind the IP header at `ip`; 0 when the one that it carries is right.
uint16_t icmpv6_checksum(const uint8_t* ip, std::span<const uint8_t> icmp) {
  return checksum_finish(checksum_add(icmp, pseudo_header_sum(ip, kProtocolIcmpv6, icmp.size())));
}

}  // namespace

std::optional<NdMessage> parse_nd(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv6HeaderBytes + kFixedBytes) return std::nullopt;
  const uint8_t* ip = packet.data();
  const size_t payload = load_be16(ip + 4);
  if (ip[0] >> 4 != 6 || ip[6] != kProtocolIcmpv6 || ip[7] != kNdHops) return std::nullopt;
  if (payload < kFixedBytes || payload > packet.size() - kIpv6HeaderBytes) return std::nullopt;

  const std::span<const uint8_t> icmp = packet.subspan(kIpv6HeaderBytes, payload);
  NdMessage message;
  message.source = v6_at(ip + 8);
  message.destination = v6_at(ip + 24);
  message.target = v6_at(icmp.data() + 8);
  message.type = static_cast<NdMessage::Type>(icmp[0]);
  const bool solicitation = message.type == NdMessage::Type::kSolicitation;
  if (!solicitation && message.type != NdMessage::Type::kAdvertisement) return std::nullopt;
  if (icmp[1] != 0 || is_multicast(message.target) || is_multicast(message.source))
    return std::nullopt;
  if (icmpv6_checksum(ip, icmp) != 0) return std::nullopt;

  message.solicited = !solicitation && (icmp[4] & kFlagSolicited);
  message.override = !solicitation && (icmp[4] & kFlagOverride);
  if (!read_options(icmp.subspan(kFixedBytes), solicitation ? kOptionSource : kOptionTarget,
                    message.link_layer))
    return std::nullopt;
  // A prober for duplicates has no address yet, so it can't tell one (RFC 4861 §7.1.1).
  if (solicitation && is_unspecified(message.source) && message.link_layer) return std::nullopt;
  if (message.solicited && is_multicast(message.destination)) return std::nullopt;
  return message;
}

void write_nd_frame(std::span<uint8_t, kNdFrameBytes> out, const EtherAddress& destination,
                    const NdMessage& message) {
  const EtherAddress own = message.link_layer.value_or(EtherAddress{});
  const bool solicitation = message.type == NdMessage::Type::kSolicitation;
  constexpr size_t icmp_bytes = kFixedBytes + 8;
  uint8_t* const ip = out.data() + write_ethernet(out.data(), destination, own, kEtherTypeIpv6);
  uint8_t* const at =
      ip + write_ip(ip, message.source, message.destination, kProtocolIcmpv6, kNdHops, icmp_bytes);
  std::memset(at, 0, icmp_bytes);
  at[0] = static_cast<uint8_t>(message.type);
  at[4] = static_cast<uint8_t>((message.solicited ? kFlagSolicited : 0) |
                               (message.override ? kFlagOverride : 0));
  std::copy(message.target.bytes.begin(), message.target.bytes.end(), at + 8);
  at[kFixedBytes] = solicitation ? kOptionSource : kOptionTarget;
  at[kFixedBytes + 1] = 1;
  std::copy(own.begin(), own.end(), at + kFixedBytes + 2);
  store_checksum(at + 2, icmpv6_checksum(ip, {at, icmp_bytes}));
}

IpAddress solicited_node_group(const IpAddress& address) {
  IpAddress group{Family::kIpv6, {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0, 0, 0}};
  std::copy_n(address.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  return group;
}

EtherAddress ethernet_group_of(const IpAddress& group) {
  EtherAddress mac{0x33, 0x33};
  std::copy_n(group.bytes.begin() + 12, 4, mac.begin() + 2);
  return mac;
}

bool is_multicast(const IpAddress& address) {
  return address.is_v6() ? address.bytes[0] == 0xFF : address.bytes[0] >= 224;
}

bool is_unspecified(const IpAddress& address) {
  return std::all_of(address.bytes.begin(), address.bytes.end(), [](uint8_t b) { return b == 0; });
}

}  // namespace jvpn::neighbor
