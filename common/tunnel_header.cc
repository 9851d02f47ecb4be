#include "common/tunnel_header.h"

#include <algorithm>

#include <rte_ip.h>

namespace jvpn {
namespace {

constexpr uint8_t kHopLimit = 64;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kDontFragment = 0x40;

void put_be16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void write_ethernet(const TunnelEnds& ends, uint16_t ether_type, uint8_t* at) {
  std::copy(ends.remote_ethernet.begin(), ends.remote_ethernet.end(), at);
  std::copy(ends.local_ethernet.begin(), ends.local_ethernet.end(), at + 6);
  put_be16(at + 12, ether_type);
}

void write_ipv4(const TunnelEnds& ends, uint8_t* at) {
  at[0] = 0x45;
  at[6] = kDontFragment;
  at[8] = kHopLimit;
  at[9] = kUdp;
  std::copy_n(ends.local.address.bytes.begin(), 4, at + 12);
  std::copy_n(ends.remote.address.bytes.begin(), 4, at + 16);
}

void write_ipv6(const TunnelEnds& ends, uint8_t* at) {
  at[0] = 0x60;
  at[6] = kUdp;
  at[7] = kHopLimit;
  std::copy_n(ends.local.address.bytes.begin(), 16, at + 8);
  std::copy_n(ends.remote.address.bytes.begin(), 16, at + 24);
}

}  // namespace

void write_tunnel_header(const TunnelEnds& ends, TxRecord& record) {
  const bool v4 = ends.local.address.is_v4();
  record.outer = ends.local.address.family;
  const TunnelHeaderLayout& layout = tunnel_layout(record.outer);
  record.template_bytes = layout.bytes;
  std::fill(std::begin(record.header), std::end(record.header), uint8_t{0});

  write_ethernet(ends, v4 ? 0x0800 : 0x86DD, record.header);
  uint8_t* ip = record.header + layout.ip;
  if (v4) {
    write_ipv4(ends, ip);
    record.ipv4_checksum_base = rte_raw_cksum(ip, 20);
  } else {
    write_ipv6(ends, ip);
    record.ipv4_checksum_base = 0;
  }
  put_be16(record.header + layout.udp, ends.local.port);
  put_be16(record.header + layout.udp + 2, ends.remote.port);

  const wire::TransportHeader transport{wire::MessageType::kData, {}, record.peer_index.value, 0};
  __builtin_memcpy(record.header + layout.transport, &transport, sizeof transport);
}

}  // namespace jvpn
