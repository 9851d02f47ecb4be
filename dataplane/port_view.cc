#include "dataplane/port_view.h"

#include <cstring>

#include "common/wire.h"
#include "dataplane/inner_packet.h"

namespace jvpn {
namespace {

/// The first bytes of a frame, and which of their bits count.
struct FramePattern {
  std::array<uint8_t, kPlainUdp[1] + sizeof(__m128i)> value{};
  std::array<uint8_t, kPlainUdp[1] + sizeof(__m128i)> mask{};

  void want(size_t at, uint8_t byte, uint8_t bits = 0xFF) {
    value[at] = byte & bits;
    mask[at] = bits;
  }
  BytePattern part(size_t at) const {
    BytePattern pattern;
    std::memcpy(&pattern.value, value.data() + at, sizeof pattern.value);
    std::memcpy(&pattern.mask, mask.data() + at, sizeof pattern.mask);
    return pattern;
  }
};

FramePattern data_message(const PortInfo& port, uint32_t address_be, uint16_t udp_port) {
  constexpr size_t kIp = kEthernetHeaderBytes;
  constexpr size_t kUdp = kIp + kIpv4HeaderBytes;
  FramePattern frame;
  for (size_t i = 0; i < port.mac.size(); ++i) frame.want(i, port.mac[i]);
  frame.want(12, 0x08);
  frame.want(13, 0x00);
  frame.want(kIp, 0x45);
  frame.want(kIp + 6, 0, 0x3F);  // neither more fragments nor an offset
  frame.want(kIp + 7, 0);
  frame.want(kIp + 9, 17);
  for (unsigned i = 0; i < 4; ++i)
    frame.want(kIp + 16 + i, static_cast<uint8_t>(address_be >> (8 * i)));
  frame.want(kUdp + 2, static_cast<uint8_t>(udp_port >> 8));
  frame.want(kUdp + 3, static_cast<uint8_t>(udp_port));
  frame.want(kUdp + kUdpHeaderBytes, static_cast<uint8_t>(wire::MessageType::kData));
  for (unsigned i = 1; i < sizeof(wire::Preamble); ++i) frame.want(kUdp + kUdpHeaderBytes + i, 0);
  return frame;
}

}  // namespace

std::array<uint8_t, 16> link_local_of(const std::array<uint8_t, 6>& mac) {
  std::array<uint8_t, 16> address{0xFE, 0x80};
  address[8] = mac[0] ^ 0x02;
  address[9] = mac[1];
  address[10] = mac[2];
  address[11] = 0xFF;
  address[12] = 0xFE;
  address[13] = mac[3];
  address[14] = mac[4];
  address[15] = mac[5];
  return address;
}

PortView::PortView(const PortInfo& port, uint16_t udp_port)
    : number(port.number),
      listen_port(udp_port),
      dpdk_id(port.dpdk_id),
      role(port.role),
      rx_ipv4_checksum(port.rx_ipv4_checksum),
      tx_udp_checksum(port.tx_udp_checksum),
      from_kernel(port.from_kernel),
      mtu(port.mtu) {
  __builtin_memcpy(&mac, port.mac.data(), port.mac.size());
  for (const Prefix& prefix : port.addresses) {
    if (prefix.address.is_v6()) {
      ipv6.push_back(prefix.address.bytes);
      continue;
    }
    uint32_t word;
    __builtin_memcpy(&word, prefix.address.bytes.data(), sizeof word);
    ipv4.push_back(word);
  }
  const FramePattern plain = data_message(port, ipv4.empty() ? 0 : ipv4.front(), udp_port);
  plain_ipv4 = plain.part(0);
  for (size_t i = 0; i < 2; ++i) plain_udp[i] = plain.part(kPlainUdp[i]);
  if (!ipv4.empty())
    least_data = kEthernetHeaderBytes + kIpv4HeaderBytes + kUdpHeaderBytes + kMinData;
  if (!from_kernel) least_inner = kEthernetHeaderBytes + kIpv4HeaderBytes;
  if (!ipv6.empty()) ipv6.push_back(link_local_of(port.mac));
}

}  // namespace jvpn
