#include "common/ip_header.h"

#include <algorithm>
#include <cstring>

#include "common/bytes.h"
#include "common/checksum.h"

namespace jvpn {
namespace {

constexpr uint16_t kDontFragment = 0x4000;

void write_ipv4(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t total) {
  std::memset(out, 0, kIpv4HeaderBytes);
  out[0] = 0x45;
  store_be16(out + 2, total);
  store_be16(out + 6, kDontFragment);
  out[8] = hops;
  out[9] = protocol;
  std::copy_n(source.bytes.begin(), 4, out + 12);
  std::copy_n(destination.bytes.begin(), 4, out + 16);
  const uint16_t checksum = checksum_finish(checksum_add({out, kIpv4HeaderBytes}, 0));
  store_checksum(out + 10, checksum);
}

void write_ipv6(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t payload) {
  std::memset(out, 0, kIpv6HeaderBytes);
  out[0] = 0x60;
  store_be16(out + 4, payload);
  out[6] = protocol;
  out[7] = hops;
  std::copy_n(source.bytes.begin(), 16, out + 8);
  std::copy_n(destination.bytes.begin(), 16, out + 24);
}

}  // namespace

size_t write_ethernet(uint8_t* out, const EtherAddress& destination, const EtherAddress& source,
                      uint16_t ether_type) {
  std::copy(destination.begin(), destination.end(), out);
  std::copy(source.begin(), source.end(), out + 6);
  store_be16(out + 12, ether_type);
  return kEthernetHeaderBytes;
}

size_t write_ip(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t payload) {
  if (source.is_v6()) {
    write_ipv6(out, source, destination, protocol, hops, payload);
    return kIpv6HeaderBytes;
  }
  write_ipv4(out, source, destination, protocol, hops, kIpv4HeaderBytes + payload);
  return kIpv4HeaderBytes;
}

}  // namespace jvpn
