#include "tools/client/tunnel/tun_offload.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"
#include "tools/client/tunnel/inner_packet.h"

namespace jvpn::client::tunnel {
namespace {

/// Where things stand in a super-packet, checked against its real size.
struct Layout {
  bool v4 = false;
  uint8_t protocol = 0;
  size_t transport = 0;  ///< offset of the TCP or UDP header
  size_t headers = 0;    ///< bytes of all headers, repeated before each payload
};

std::optional<Layout> layout_of(const VnetHeader& header, std::span<const uint8_t> packet) {
  const Family family = inner_family(packet);
  const uint8_t type = header.gso_type & static_cast<uint8_t>(~kGsoEcn);
  Layout layout{family == Family::kIpv4, type == kGsoUdp ? kProtocolUdp : kProtocolTcp,
                header.csum_start, 0};
  const bool family_fits = type == kGsoUdp    ? family != Family::kNone
                           : type == kGsoTcp4 ? family == Family::kIpv4
                           : type == kGsoTcp6 ? family == Family::kIpv6
                                              : false;
  if (!family_fits || header.gso_bytes == 0 || !(header.flags & kVnetNeedsCsum))
    return std::nullopt;
  const size_t ip_bytes = layout.v4 ? size_t{packet[0] & 0xFU} * 4 : kIpv6HeaderBytes;
  if (layout.v4 ? layout.transport != ip_bytes : layout.transport < ip_bytes) return std::nullopt;
  if (layout.transport + kTcpHeaderBytes > packet.size() && layout.protocol == kProtocolTcp)
    return std::nullopt;
  if (layout.transport + kUdpHeaderBytes > packet.size()) return std::nullopt;
  const size_t transport_bytes = layout.protocol == kProtocolUdp
                                     ? kUdpHeaderBytes
                                     : size_t{packet[layout.transport + 12]} / 16 * 4;
  if (layout.protocol == kProtocolTcp && transport_bytes < kTcpHeaderBytes) return std::nullopt;
  layout.headers = layout.transport + transport_bytes;
  if (layout.headers >= packet.size()) return std::nullopt;
  return layout;
}

void finish_ip(uint8_t* packet, const Layout& layout, size_t bytes, size_t number) {
  if (!layout.v4) return store_be16(packet + 4, static_cast<uint16_t>(bytes - kIpv6HeaderBytes));
  store_be16(packet + 2, static_cast<uint16_t>(bytes));
  store_be16(packet + 4, static_cast<uint16_t>(load_be16(packet + 4) + number));
  store_be16(packet + 10, 0);
  const uint64_t sum = checksum_add({packet, layout.transport}, 0);
  store_checksum(packet + 10, static_cast<uint16_t>(~checksum_fold(sum)));
}

void finish_tcp(uint8_t* tcp, size_t offset, bool first, bool last) {
  store_be32(tcp + 4, static_cast<uint32_t>(load_be32(tcp + 4) + offset));
  if (!last) tcp[13] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  if (!first) tcp[13] &= static_cast<uint8_t>(~kTcpCwr);
}

void finish_checksum(uint8_t* packet, const Layout& layout, size_t bytes) {
  uint8_t* const transport = packet + layout.transport;
  const size_t length = bytes - layout.transport;
  uint8_t* const field = transport + (layout.protocol == kProtocolTcp ? 16 : 6);
  store_checksum(field, 0);
  const uint64_t pseudo = pseudo_header_sum(packet, layout.protocol, length);
  auto sum = static_cast<uint16_t>(~checksum_fold(checksum_add({transport, length}, pseudo)));
  if (sum == 0 && layout.protocol == kProtocolUdp) sum = 0xFFFF;  // RFC 768: 0 means none
  store_checksum(field, sum);
}

SplitVerdict split_segments(const Layout& layout, size_t gso_bytes, std::span<const uint8_t> packet,
                            PacketSink& sink) {
  const auto payload = packet.subspan(layout.headers);
  for (size_t offset = 0, number = 0; offset < payload.size(); offset += gso_bytes, ++number) {
    const size_t piece = std::min(gso_bytes, payload.size() - offset);
    const size_t bytes = layout.headers + piece;
    uint8_t* const out = sink.next(bytes);
    if (out == nullptr) return SplitVerdict::kNoRoom;
    std::memcpy(out, packet.data(), layout.headers);
    std::memcpy(out + layout.headers, payload.data() + offset, piece);
    finish_ip(out, layout, bytes, number);
    if (layout.protocol == kProtocolTcp)
      finish_tcp(out + layout.transport, offset, offset == 0, offset + piece == payload.size());
    else
      store_be16(out + layout.transport + 4, static_cast<uint16_t>(bytes - layout.transport));
    finish_checksum(out, layout, bytes);
  }
  return SplitVerdict::kDone;
}

/// Where a packet on its own has the field of the checksum that is due.
size_t checksum_field(const VnetHeader& header) {
  return size_t{header.csum_start} + header.csum_offset;
}

bool whole_is_sound(const VnetHeader& header, std::span<const uint8_t> packet) {
  const bool due = (header.flags & kVnetNeedsCsum) != 0;
  return !packet.empty() && (!due || checksum_field(header) + 2 <= packet.size());
}

// A packet on its own: at most the checksum is due, whose field holds the pseudo header's sum.
SplitVerdict copy_whole(const VnetHeader& header, std::span<const uint8_t> packet,
                        PacketSink& sink) {
  if (!whole_is_sound(header, packet)) return SplitVerdict::kMalformed;
  uint8_t* const out = sink.next(packet.size());
  if (out == nullptr) return SplitVerdict::kNoRoom;
  std::memcpy(out, packet.data(), packet.size());
  if ((header.flags & kVnetNeedsCsum) == 0) return SplitVerdict::kDone;
  const auto covered = std::span(out, packet.size()).subspan(header.csum_start);
  const auto sum = static_cast<uint16_t>(~checksum_fold(checksum_add(covered, 0)));
  store_checksum(out + checksum_field(header),
                 sum == 0 ? 0xFFFF : sum);  // both mean zero; UDP must not send 0
  return SplitVerdict::kDone;
}

}  // namespace

SplitVerdict split(const VnetHeader& header, std::span<const uint8_t> packet, PacketSink& sink) {
  if (header.gso_type == kGsoNone) return copy_whole(header, packet, sink);
  const std::optional<Layout> layout = layout_of(header, packet);
  if (!layout) return SplitVerdict::kMalformed;
  return split_segments(*layout, header.gso_bytes, packet, sink);
}

SplitPlan plan_split(const VnetHeader& header, std::span<const uint8_t> packet) {
  if (header.gso_type == kGsoNone) {
    const bool sound = whole_is_sound(header, packet);
    return sound ? SplitPlan{1, packet.size(), packet.size()} : SplitPlan{};
  }
  const std::optional<Layout> layout = layout_of(header, packet);
  if (!layout) return {};
  const size_t payload = packet.size() - layout->headers;
  const size_t packets = (payload + header.gso_bytes - 1) / header.gso_bytes;
  return {packets, layout->headers + std::min<size_t>(payload, header.gso_bytes),
          payload + packets * layout->headers};
}

}  // namespace jvpn::client::tunnel
