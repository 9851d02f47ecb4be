#include "control/neighbor/packet_writer.h"

#include <algorithm>
#include <cstring>

namespace jvpn::neighbor {
namespace {

constexpr uint16_t kDontFragment = 0x4000;

size_t address_bytes(const IpAddress& address) {
  return address.bits() / 8U;
}

void write_ipv4(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t total) {
  std::memset(out, 0, kIpv4HeaderBytes);
  out[0] = 0x45;
  put_be16(out + 2, total);
  put_be16(out + 6, kDontFragment);
  out[8] = hops;
  out[9] = protocol;
  std::copy_n(source.bytes.begin(), 4, out + 12);
  std::copy_n(destination.bytes.begin(), 4, out + 16);
  const uint16_t checksum = checksum_finish(checksum_sum({out, kIpv4HeaderBytes}));
  std::memcpy(out + 10, &checksum, 2);
}

void write_ipv6(uint8_t* out, const IpAddress& source, const IpAddress& destination,
                uint8_t protocol, uint8_t hops, size_t payload) {
  std::memset(out, 0, kIpv6HeaderBytes);
  out[0] = 0x60;
  put_be16(out + 4, payload);
  out[6] = protocol;
  out[7] = hops;
  std::copy_n(source.bytes.begin(), 16, out + 8);
  std::copy_n(destination.bytes.begin(), 16, out + 24);
}

uint16_t ether_type_of(Family family) {
  return family == Family::kIpv6 ? kEtherTypeIpv6 : kEtherTypeIpv4;
}

}  // namespace

uint32_t checksum_sum(std::span<const uint8_t> bytes, uint32_t sum) {
  uint64_t wide = sum;
  size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) {
    uint16_t word;
    std::memcpy(&word, bytes.data() + i, 2);
    wide += word;
  }
  if (i < bytes.size()) wide += bytes[i];
  while (wide >> 32) wide = (wide & 0xFFFFFFFFU) + (wide >> 32);
  return static_cast<uint32_t>(wide);
}

uint16_t checksum_finish(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xFFFFU) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

uint32_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                           size_t bytes) {
  uint8_t tail[8] = {};
  put_be32(tail, static_cast<uint32_t>(bytes));
  tail[7] = protocol;
  uint32_t sum = checksum_sum({source.bytes.data(), address_bytes(source)});
  sum = checksum_sum({destination.bytes.data(), address_bytes(destination)}, sum);
  return checksum_sum(tail, sum);
}

size_t write_ethernet(uint8_t* out, const EtherAddress& destination, const EtherAddress& source,
                      uint16_t ether_type) {
  std::copy(destination.begin(), destination.end(), out);
  std::copy(source.begin(), source.end(), out + 6);
  put_be16(out + 12, ether_type);
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

size_t udp_frame_overhead(Family family) {
  return kEthernetHeaderBytes + (family == Family::kIpv6 ? kIpv6HeaderBytes : kIpv4HeaderBytes) +
         kUdpHeaderBytes;
}

size_t write_udp_frame(uint8_t* out, const Path& path, const EtherAddress& source,
                       std::span<const uint8_t> payload) {
  const IpAddress& from = path.local.address;
  const IpAddress& to = path.remote.address;
  const size_t udp_bytes = kUdpHeaderBytes + payload.size();
  uint8_t* at = out + write_ethernet(out, {}, source, ether_type_of(to.family));
  at += write_ip(at, from, to, kProtocolUdp, kHops, udp_bytes);
  put_be16(at, path.local.port);
  put_be16(at + 2, path.remote.port);
  put_be16(at + 4, udp_bytes);
  put_be16(at + 6, 0);
  std::copy(payload.begin(), payload.end(), at + kUdpHeaderBytes);
  uint16_t checksum = checksum_finish(
      checksum_sum({at, udp_bytes}, pseudo_header_sum(from, to, kProtocolUdp, udp_bytes)));
  if (checksum == 0) checksum = 0xFFFF;
  std::memcpy(at + 6, &checksum, 2);
  return static_cast<size_t>(at - out) + udp_bytes;
}

}  // namespace jvpn::neighbor
