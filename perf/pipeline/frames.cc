#include "perf/pipeline/frames.h"

#include <algorithm>
#include <cstring>

#include "common/ip_header.h"
#include "perf/pipeline/bench_sessions.h"
#include "tests/support/packet_builder.h"

namespace jvpn::perf {
namespace {

constexpr size_t kIpBytes = 20;
constexpr size_t kUdpHeaderBytes = 8;
constexpr size_t kInnerAt = kOuterBytes + sizeof(wire::TransportHeader);

std::vector<uint8_t> inner_packet(const IpAddress& from, const IpAddress& to, unsigned bytes) {
  const size_t payload = bytes - kIpBytes - kUdpHeaderBytes;
  return test::ipv4_packet(from, to, test::udp_datagram(7, 7, test::payload_of(payload)));
}

void set_address(uint8_t* ip, size_t at, const IpAddress& address) {
  std::memcpy(ip + at, address.bytes.data(), 4);
}

void set_source_port(uint8_t* udp, uint16_t port) {
  udp[0] = static_cast<uint8_t>(port >> 8);
  udp[1] = static_cast<uint8_t>(port);
}

/// Of the 20 bytes at `ip`.
void set_checksum(uint8_t* ip) {
  ip[10] = ip[11] = 0;
  const auto sum = static_cast<uint16_t>(~test::internet_sum(ip, kIpBytes));
  ip[10] = static_cast<uint8_t>(sum >> 8);
  ip[11] = static_cast<uint8_t>(sum);
}

uint8_t* append(rte_mbuf* packet, const std::vector<uint8_t>& frame) {
  auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
  std::memcpy(data, frame.data(), frame.size());
  packet->data_len = static_cast<uint16_t>(frame.size());
  packet->pkt_len = packet->data_len;
  return data;
}

}  // namespace

FrameTemplates::FrameTemplates(unsigned inner_bytes) : inner_bytes_(inner_bytes) {
  to_peer_ = test::ip_frame(test::kPortMac, test::kHostMac,
                            inner_packet(lan_host(), inner_host_of(0), inner_bytes));
  const std::vector<uint8_t> sealed(wire::kTransportOverhead + inner_bytes);
  const auto datagram = test::udp_datagram(test::kPeerPort, test::kListenPort, sealed);
  to_lan_ =
      test::ip_frame(test::kPortMac, test::kHostMac,
                     test::ipv4_packet(outer_of(0, 0).address, gateway_outer().address, datagram));
  const auto inner = inner_packet(inner_host_of(0), lan_host(), inner_bytes);
  std::ranges::copy(inner, to_lan_.begin() + static_cast<long>(kInnerAt));
}

uint8_t* FrameTemplates::write_to_peer(rte_mbuf* packet, uint32_t peer, uint16_t flow) const {
  uint8_t* ip = append(packet, to_peer_) + kEthernetHeaderBytes;
  set_address(ip, 16, inner_host_of(peer));
  set_checksum(ip);
  set_source_port(ip + kIpBytes, flow);
  return ip;
}

uint8_t* FrameTemplates::write_to_lan(rte_mbuf* packet, const Message& message) const {
  uint8_t* frame = append(packet, to_lan_);
  uint8_t* ip = frame + kEthernetHeaderBytes;
  set_address(ip, 12, outer_of(message.peer, 0).address);
  set_checksum(ip);
  set_source_port(ip + kIpBytes, message.port);
  const wire::TransportHeader header{
      wire::MessageType::kData, {}, message.index.value, message.counter};
  std::memcpy(frame + kOuterBytes, &header, sizeof header);
  uint8_t* inner = frame + kInnerAt;
  set_address(inner, 12, inner_host_of(message.peer));
  set_checksum(inner);
  return inner;
}

}  // namespace jvpn::perf
