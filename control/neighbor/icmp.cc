#include "control/neighbor/icmp.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"
#include "control/neighbor/nd.h"

namespace jvpn::neighbor {
namespace {

constexpr size_t kIcmpBytes = 8;

constexpr uint8_t kV4EchoReply = 0, kV4EchoRequest = 8;
constexpr uint8_t kV6EchoRequest = 128, kV6EchoReply = 129;

struct TypeCode {
  uint8_t type, code;
};
// By IcmpError's order.
constexpr std::array<TypeCode, 5> kV4Errors{{{3, 4}, {11, 0}, {3, 0}, {3, 1}, {3, 3}}};
constexpr std::array<TypeCode, 5> kV6Errors{{{2, 0}, {3, 0}, {1, 0}, {1, 3}, {1, 4}}};

std::optional<IpView> view_v4(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv4HeaderBytes) return std::nullopt;
  const uint8_t* ip = packet.data();
  IpView view;
  view.header_bytes = size_t{ip[0] & 0xFU} * 4;
  view.total_bytes = load_be16(ip + 2);
  if (view.header_bytes < kIpv4HeaderBytes || view.header_bytes > view.total_bytes)
    return std::nullopt;
  if (view.total_bytes > packet.size()) return std::nullopt;
  if (checksum_finish(checksum_add(packet.first(view.header_bytes), 0)) != 0) return std::nullopt;
  const uint16_t fragment = load_be16(ip + 6);
  view.dont_fragment = fragment & 0x4000;
  view.fragment = fragment & 0x3FFF;
  view.later_fragment = fragment & 0x1FFF;
  view.protocol = ip[9];
  view.source = IpAddress::read(Family::kIpv4, ip + 12);
  view.destination = IpAddress::read(Family::kIpv4, ip + 16);
  return view;
}

std::optional<IpView> view_v6(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv6HeaderBytes) return std::nullopt;
  const uint8_t* ip = packet.data();
  IpView view;
  view.header_bytes = kIpv6HeaderBytes;
  view.total_bytes = kIpv6HeaderBytes + load_be16(ip + 4);
  if (view.total_bytes > packet.size()) return std::nullopt;
  view.protocol = ip[6];
  view.source = IpAddress::read(Family::kIpv6, ip + 8);
  view.destination = IpAddress::read(Family::kIpv6, ip + 24);
  return view;
}

/// Type of the ICMP message in a packet; nullopt when there is none in it.
std::optional<uint8_t> icmp_type(const IpView& view, std::span<const uint8_t> packet) {
  const uint8_t icmp = view.source.is_v6() ? kProtocolIcmpv6 : kProtocolIcmp;
  if (view.protocol != icmp || view.later_fragment) return std::nullopt;
  if (view.total_bytes < view.header_bytes + kIcmpBytes) return std::nullopt;
  return packet[view.header_bytes];
}

/// Checksum of the ICMP message behind the IP header at `ip`; only ICMPv6 has a pseudo header.
uint16_t icmp_checksum(const uint8_t* ip, std::span<const uint8_t> icmp) {
  const uint64_t pseudo = is_ipv4(ip) ? 0 : pseudo_header_sum(ip, kProtocolIcmpv6, icmp.size());
  return checksum_finish(checksum_add(icmp, pseudo));
}

}  // namespace

std::optional<IpView> view_ip(std::span<const uint8_t> packet) {
  if (packet.empty()) return std::nullopt;
  if (packet[0] >> 4 == 4) return view_v4(packet);
  if (packet[0] >> 4 == 6) return view_v6(packet);
  return std::nullopt;
}

bool may_answer_with_error(const IpView& view, std::span<const uint8_t> packet) {
  if (view.later_fragment || is_multicast(view.source) || is_multicast(view.destination))
    return false;
  if (is_unspecified(view.source)) return false;
  const bool v6 = view.source.is_v6();
  const uint8_t icmp = v6 ? kProtocolIcmpv6 : kProtocolIcmp;
  if (view.protocol != icmp) return true;
  const auto type = icmp_type(view, packet);
  if (!type) return false;
  if (v6) return *type >= 128;
  return *type == kV4EchoReply || *type == kV4EchoRequest || *type == 13 || *type == 14;
}

size_t icmp_error_bytes(const IpView& view) {
  const bool v6 = view.source.is_v6();
  const size_t headers = (v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes) + kIcmpBytes;
  return std::min(headers + view.total_bytes, v6 ? kMaxIcmpv6Error : kMaxIcmpError);
}

void write_icmp_error(std::span<uint8_t> out, IcmpError error, const IpAddress& source,
                      const IpView& view, std::span<const uint8_t> offender, uint16_t mtu) {
  JVPN_ASSERT(source.family == view.source.family, "an error goes back in the offender's family");
  JVPN_ASSERT(out.size() == icmp_error_bytes(view), "the room that icmp_error_bytes() says");
  const bool v6 = source.is_v6();
  const size_t ip_bytes = v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes;
  const std::span<uint8_t> icmp = out.subspan(ip_bytes);
  const TypeCode code = (v6 ? kV6Errors : kV4Errors)[static_cast<size_t>(error)];
  write_ip(out.data(), source, view.source, v6 ? kProtocolIcmpv6 : kProtocolIcmp, kHops,
           icmp.size());
  std::fill_n(icmp.begin(), kIcmpBytes, uint8_t{0});
  icmp[0] = code.type;
  icmp[1] = code.code;
  if (error == IcmpError::kTooBig) store_be32(icmp.data() + 4, mtu);
  std::copy_n(offender.begin(), icmp.size() - kIcmpBytes, icmp.begin() + kIcmpBytes);
  store_checksum(icmp.data() + 2, icmp_checksum(out.data(), icmp));
}

bool is_echo_request(const IpView& view, std::span<const uint8_t> packet) {
  if (view.fragment || is_multicast(view.source) || is_unspecified(view.source)) return false;
  const uint8_t request = view.source.is_v6() ? kV6EchoRequest : kV4EchoRequest;
  if (icmp_type(view, packet) != request) return false;
  const auto icmp = packet.subspan(view.header_bytes, view.total_bytes - view.header_bytes);
  return icmp_checksum(packet.data(), icmp) == 0;
}

void make_echo_reply(const IpView& view, std::span<uint8_t> packet) {
  const bool v6 = view.source.is_v6();
  uint8_t* ip = packet.data();
  const size_t addresses = v6 ? 8 : 12, bytes = v6 ? 16 : 4;
  std::swap_ranges(ip + addresses, ip + addresses + bytes, ip + addresses + bytes);
  ip[v6 ? 7 : 8] = kHops;
  if (!v6) {
    store_be16(ip + 10, 0);
    store_checksum(ip + 10, checksum_finish(checksum_add({ip, view.header_bytes}, 0)));
  }
  uint8_t* icmp = ip + view.header_bytes;
  icmp[0] = v6 ? kV6EchoReply : kV4EchoReply;
  store_be16(icmp + 2, 0);
  store_checksum(icmp + 2, icmp_checksum(ip, {icmp, view.total_bytes - view.header_bytes}));
}

}  // namespace jvpn::neighbor
