#include "control/neighbor/packet_writer.h"

#include <algorithm>

#include "common/bytes.h"
#include "common/checksum.h"

namespace jvpn::neighbor {

size_t udp_frame_overhead(Family family) {
  return kEthernetHeaderBytes + (family == Family::kIpv6 ? kIpv6HeaderBytes : kIpv4HeaderBytes) +
         kUdpHeaderBytes;
}

size_t write_udp_frame(uint8_t* out, const Path& path, const EtherAddress& source,
                       std::span<const uint8_t> payload) {
  const IpAddress& from = path.local.address;
  const IpAddress& to = path.remote.address;
  const size_t udp_bytes = kUdpHeaderBytes + payload.size();
  uint8_t* const ip =
      out + write_ethernet(out, {}, source, to.is_v6() ? kEtherTypeIpv6 : kEtherTypeIpv4);
  uint8_t* const at = ip + write_ip(ip, from, to, kProtocolUdp, kHops, udp_bytes);
  store_be16(at, path.local.port);
  store_be16(at + 2, path.remote.port);
  store_be16(at + 4, udp_bytes);
  store_be16(at + 6, 0);
  std::copy(payload.begin(), payload.end(), at + kUdpHeaderBytes);
  const uint16_t checksum = checksum_finish(
      checksum_add({at, udp_bytes}, pseudo_header_sum(ip, kProtocolUdp, udp_bytes)));
  store_checksum(at + 6, checksum == 0 ? uint16_t{0xFFFF} : checksum);
  return static_cast<size_t>(at - out) + udp_bytes;
}

}  // namespace jvpn::neighbor
