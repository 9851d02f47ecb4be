#include "control/gateway/outer_header.h"

#include <algorithm>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "control/neighbor/packet_writer.h"

namespace jvpn::gateway {

std::optional<Path> path_of_frame(std::span<const uint8_t> frame, uint16_t port) {
  if (frame.size() < kEthernetHeaderBytes) return std::nullopt;
  const uint16_t ether_type = load_be16(frame.data() + 12);
  if (ether_type != kEtherTypeIpv4 && ether_type != kEtherTypeIpv6) return std::nullopt;
  const bool v6 = ether_type == kEtherTypeIpv6;
  const size_t ip_bytes = v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes;
  if (frame.size() < kEthernetHeaderBytes + ip_bytes + kUdpHeaderBytes) return std::nullopt;
  const uint8_t* ip = frame.data() + kEthernetHeaderBytes;
  if (ip[v6 ? 6 : 9] != kProtocolUdp || (!v6 && ip[0] != 0x45)) return std::nullopt;
  const Family family = v6 ? Family::kIpv6 : Family::kIpv4;
  const size_t source = v6 ? 8 : 12, bytes = v6 ? 16 : 4;
  const uint8_t* udp = ip + ip_bytes;
  Path path;
  path.interface = port;
  path.remote = {IpAddress::read(family, ip + source), load_be16(udp)};
  path.local = {IpAddress::read(family, ip + source + bytes), load_be16(udp + 2)};
  return path;
}

}  // namespace jvpn::gateway
