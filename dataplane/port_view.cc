#include "dataplane/port_view.h"

namespace jvpn {

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

PortView::PortView(const PortInfo& port)
    : number(port.number),
      dpdk_id(port.dpdk_id),
      role(port.role),
      rx_ipv4_checksum(port.rx_ipv4_checksum),
      tx_udp_checksum(port.tx_udp_checksum) {
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
  if (!ipv6.empty()) ipv6.push_back(link_local_of(port.mac));
}

}  // namespace jvpn
