#include "common/tunnel_header.h"

#include <algorithm>

#include <rte_ip.h>

#include "common/bytes.h"
#include "common/ip_header.h"

namespace jvpn {
void write_tunnel_header(const TunnelEnds& ends, uint64_t mask, TxRecord& record) {
  const bool v4 = ends.local.address.is_v4();
  record.outer = ends.local.address.family;
  const TunnelHeaderLayout& layout = tunnel_layout(record.outer);
  record.template_bytes = layout.bytes;
  std::fill(std::begin(record.header), std::end(record.header), uint8_t{0});

  write_ethernet(record.header, {}, ends.local_ethernet, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
  uint8_t* ip = record.header + layout.ip;
  write_ip(ip, ends.local.address, ends.remote.address, kProtocolUdp, kHops, 0);
  record.ipv4_checksum_base = 0;
  if (v4) {  // workers fill in both for each packet
    store_be16(ip + 2, 0);
    store_be16(ip + 10, 0);
    record.ipv4_checksum_base = rte_raw_cksum(ip, kIpv4HeaderBytes);
  }
  store_be16(record.header + layout.udp, ends.local.port);
  store_be16(record.header + layout.udp + 2, ends.remote.port);

  const wire::TransportHeader transport{
      wire::MessageType::kData, {}, record.peer_index.value, mask};
  __builtin_memcpy(record.header + layout.transport, &transport, sizeof transport);
}

}  // namespace jvpn
