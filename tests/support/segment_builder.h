// Builds TCP and UDP segments, and super-packets as the kernel's TUN hands them over, for the tests
// of the client's offloads. All references here are as simple as can be.
#pragma once

#include <algorithm>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"
#include "tools/client/tunnel/inner_packet.h"
#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::segments {

using test::Bytes;

constexpr uint8_t kFin = 0x01;
constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kPsh = 0x08;
constexpr uint8_t kAck = 0x10;
constexpr uint8_t kCwr = 0x80;

inline uint16_t reference_sum(std::span<const uint8_t> bytes, uint32_t seed) {
  return test::internet_sum(bytes.data(), bytes.size(), seed);
}

inline uint16_t reference_pseudo(const Bytes& packet, uint8_t protocol, size_t length) {
  Bytes pseudo;
  const bool v4 = packet[0] >> 4 == 4;
  pseudo.insert(pseudo.end(), packet.begin() + (v4 ? 12 : 8), packet.begin() + (v4 ? 20 : 40));
  const Bytes tail{
      0, 0, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length), 0, 0, 0, protocol};
  pseudo.insert(pseudo.end(), tail.begin(), tail.end());
  return reference_sum(pseudo, 0);
}

struct Shape {
  bool v4 = true;
  uint8_t protocol = kProtocolTcp;
  size_t payload = 100;
  uint8_t flags = kAck;
  size_t options = 12;  ///< TCP options, a multiple of 4
  uint32_t sequence = 1000;
  uint16_t id = 7;
  uint16_t port = 443;

  size_t ip_bytes() const { return v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes; }
  size_t headers() const {
    return ip_bytes() + (protocol == kProtocolTcp ? kTcpHeaderBytes + options : kUdpHeaderBytes);
  }
};

inline void fill_ip(const Shape& shape, Bytes& packet) {
  if (shape.v4) {
    packet[0] = 0x45;
    packet[1] = 0x02;
    store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
    store_be16(&packet[4], shape.id);
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = shape.protocol;
    for (size_t i = 0; i < 8; ++i) packet[12 + i] = static_cast<uint8_t>(10 + i);
    store_be16(&packet[10], static_cast<uint16_t>(~reference_sum({packet.data(), 20}, 0)));
    return;
  }
  packet[0] = 0x60;
  packet[3] = 0x11;  // flow label
  store_be16(&packet[4], static_cast<uint16_t>(packet.size() - kIpv6HeaderBytes));
  packet[6] = shape.protocol;
  packet[7] = 64;
  for (size_t i = 0; i < 32; ++i) packet[8 + i] = static_cast<uint8_t>(0xFD - i);
}

inline void finish_transport(const Shape& shape, Bytes& packet) {
  const size_t at = shape.ip_bytes();
  const size_t field = at + (shape.protocol == kProtocolTcp ? 16 : 6);
  store_be16(&packet[field], 0);
  const size_t length = packet.size() - at;
  const uint16_t seed = reference_pseudo(packet, shape.protocol, length);
  auto sum = static_cast<uint16_t>(~reference_sum(std::span(packet).subspan(at), seed));
  if (sum == 0 && shape.protocol == kProtocolUdp) sum = 0xFFFF;
  store_be16(&packet[field], sum);
}

/// A whole packet with right checksums; its payload is a function of its position in the stream.
inline Bytes make_packet(const Shape& shape, size_t stream_offset = 0) {
  Bytes packet(shape.headers() + shape.payload);
  fill_ip(shape, packet);
  uint8_t* const transport = &packet[shape.ip_bytes()];
  store_be16(transport, 50'000);
  store_be16(transport + 2, shape.port);
  if (shape.protocol == kProtocolTcp) {
    store_be32(transport + 4, shape.sequence);
    store_be32(transport + 8, 77);
    transport[12] = static_cast<uint8_t>((kTcpHeaderBytes + shape.options) / 4 << 4);
    transport[13] = shape.flags;
    store_be16(transport + 14, 512);
    for (size_t i = 0; i < shape.options; ++i) transport[20 + i] = 1;  // no-operation
  } else {
    store_be16(transport + 4, static_cast<uint16_t>(kUdpHeaderBytes + shape.payload));
  }
  for (size_t i = 0; i < shape.payload; ++i)
    packet[shape.headers() + i] = static_cast<uint8_t>((stream_offset + i) * 7 + 3);
  finish_transport(shape, packet);
  return packet;
}

/// The packets that the stack would have sent without offload.
inline std::vector<Bytes> reference_split(const Shape& shape, size_t gso_bytes) {
  std::vector<Bytes> packets;
  for (size_t offset = 0; offset < shape.payload; offset += gso_bytes) {
    Shape one = shape;
    one.payload = std::min(gso_bytes, shape.payload - offset);
    one.sequence = static_cast<uint32_t>(shape.sequence + offset);
    one.id = static_cast<uint16_t>(shape.id + packets.size());
    if (offset + one.payload < shape.payload) one.flags &= static_cast<uint8_t>(~(kFin | kPsh));
    if (offset > 0) one.flags &= static_cast<uint8_t>(~kCwr);
    packets.push_back(make_packet(one, offset));
  }
  return packets;
}

/// The super-packet as the kernel hands it over: the checksum field holds the pseudo header's sum.
inline Bytes make_super(const Shape& shape, VnetHeader& header, size_t gso_bytes) {
  Bytes packet = make_packet(shape);
  const bool tcp = shape.protocol == kProtocolTcp;
  const size_t at = shape.ip_bytes();
  header = {.flags = kVnetNeedsCsum,
            .gso_type = !tcp       ? kGsoUdp
                        : shape.v4 ? kGsoTcp4
                                   : kGsoTcp6,
            .header_bytes = static_cast<uint16_t>(shape.headers()),
            .gso_bytes = static_cast<uint16_t>(gso_bytes),
            .csum_start = static_cast<uint16_t>(at),
            .csum_offset = static_cast<uint16_t>(tcp ? 16 : 6)};
  store_be16(&packet[at + header.csum_offset],
             reference_pseudo(packet, shape.protocol, packet.size() - at));
  return packet;
}

inline Shape tcp(bool v4, size_t payload, uint8_t flags = kAck, size_t options = 12) {
  Shape shape;
  shape.v4 = v4;
  shape.payload = payload;
  shape.flags = flags;
  shape.options = options;
  return shape;
}
inline Shape udp(bool v4, size_t payload) {
  Shape shape = tcp(v4, payload);
  shape.protocol = kProtocolUdp;
  return shape;
}
class CollectingSink : public PacketSink {
 public:
  uint8_t* next(size_t bytes) override {
    if (packets.size() == room) return nullptr;
    packets.emplace_back(bytes);
    return packets.back().data();
  }
  std::vector<Bytes> packets;
  size_t room = 100'000;
};

/// A random source whose seed stands in every failure message.
struct Seeded {
  uint64_t seed = test::fresh_seed();
  std::mt19937_64 engine{seed};
  std::string note() const { return "replay with JVPN_SEED=" + std::to_string(seed); }
  size_t below(size_t bound) { return engine() % bound; }
  Bytes bytes(size_t count) {
    Bytes out(count);
    for (uint8_t& b : out) b = static_cast<uint8_t>(engine());
    return out;
  }
};

}  // namespace jvpn::segments
