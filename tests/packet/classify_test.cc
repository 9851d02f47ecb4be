// Malformed and unusual frames at every layer, as tables: each is sent to a shipping worker, and
// must be dropped once, under the expected name, with its packet back in the pool.
#include "dataplane/classify.h"

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr size_t kIp = 14;
constexpr size_t kUdpV4 = kIp + 20;
constexpr size_t kJvpV4 = kUdpV4 + 8;
constexpr size_t kUdpV6 = kIp + 40;
constexpr size_t kJvpV6 = kUdpV6 + 8;
constexpr Mac48 kBroadcast{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

/// One change to a sound frame, and what must become of it.
struct Case {
  const char* name;
  std::function<void(Bytes&)> spoil;
  Drop expected;
};

class Classify : public testing::Test {
 protected:
  void expect_drop(uint16_t port, const Bytes& frame, Drop expected, const std::string& name) {
    const uint64_t before = lab_.drops(expected);
    const uint64_t all_before = lab_.all_drops();
    lab_.receive(port, frame);
    lab_.poll();
    EXPECT_EQ(lab_.drops(expected) - before, 1U) << name << ": " << lab_.drop_text();
    EXPECT_EQ(lab_.all_drops() - all_before, 1U) << name << ": " << lab_.drop_text();
    EXPECT_TRUE(lab_.sent(kWan).empty() && lab_.sent(kLan).empty()) << name;
    for (const auto punt :
         {PuntClass::kVerifiedHandshake, PuntClass::kHandshake, PuntClass::kControl})
      EXPECT_TRUE(lab_.punted(punt).empty()) << name;
    lab_.punted(PuntClass::kSlowPath);
    EXPECT_EQ(lab_.packets_out(), 0U) << name;
  }

  void expect_drops(uint16_t port, const Bytes& sound, const std::vector<Case>& cases) {
    for (const Case& test : cases) {
      Bytes frame = sound;
      test.spoil(frame);
      expect_drop(port, frame, test.expected, test.name);
    }
  }

  void expect_frame(uint16_t port, const Bytes& frame, const std::string& name) {
    lab_.receive(port, frame);
    lab_.poll();
    const auto punted = lab_.punted(PuntClass::kSlowPath);
    ASSERT_EQ(punted.size(), 1U) << name << ": " << lab_.drop_text();
    EXPECT_EQ(punted[0].bytes, frame) << name;
    EXPECT_EQ(punted[0].note.reason, PuntReason::kFrame) << name;
    EXPECT_EQ(punted[0].note.port, port) << name;
    EXPECT_NE(punted[0].note.tsc, 0U) << name;
  }

  /// A sound data message; spoilt copies have their own counter only where it matters.
  Bytes data_v4() const { return v4_.seal_at_peer(inner(v4_), 0, 7); }
  Bytes data_v6() const { return v6_.seal_at_peer(inner(v6_), 0, 7); }
  static Bytes inner(const TestSession& session) {
    return ipv4_packet(session.host(Family::kIpv4), address("10.0.0.2"),
                       udp_datagram(1, 2, payload_of(64)));
  }

  Lab lab_;
  TestSession v4_{lab_, {.peer = PeerId{1}}};
  TestSession v6_{lab_, {.peer = PeerId{2}, .outer = Family::kIpv6}};
};

/// A change whose IPv4 header checksum is right again afterwards.
std::function<void(Bytes&)> summed(std::function<void(Bytes&)> change) {
  return [change = std::move(change)](Bytes& frame) {
    change(frame);
    fix_ipv4_checksum(frame, kIp);
  };
}

std::function<void(Bytes&)> set_byte(size_t at, unsigned value) {
  return [=](Bytes& frame) { frame[at] = static_cast<uint8_t>(value); };
}

/// Of a data message over IPv4.
std::function<void(Bytes&)> set_lane(unsigned lane) {
  const uint64_t counter = wire::make_counter(LaneId{static_cast<uint16_t>(lane)}, 0);
  const uint64_t masked = counter ^ SessionSpec {}.mask;
  return [=](Bytes& frame) {
    std::memcpy(&frame[kJvpV4 + 14], reinterpret_cast<const uint8_t*>(&masked) + 6, 2);
  };
}

std::function<void(Bytes&)> flip(size_t at) {
  return [=](Bytes& frame) { frame[at] ^= 0x01; };
}

std::function<void(Bytes&)> set_word(size_t at, unsigned value) {
  return [=](Bytes& frame) { put16(frame, at, value); };
}

/// The message grows or shrinks by `bytes`, with all lengths right.
void resize_v4(Bytes& frame, long bytes) {
  frame.resize(frame.size() + static_cast<size_t>(bytes));
  put16(frame, kIp + 2, static_cast<unsigned>(frame.size() - kIp));
  put16(frame, kUdpV4 + 4, static_cast<unsigned>(frame.size() - kUdpV4));
  fix_ipv4_checksum(frame, kIp);
}

void resize_message_v4(Bytes& frame, size_t message) {
  resize_v4(frame, static_cast<long>(kJvpV4 + message) - static_cast<long>(frame.size()));
}

TEST_F(Classify, ethernet_and_outer_ipv4) {
  expect_drops(
      kWan, data_v4(),
      {
          {"unicast to another station", set_byte(0, 0x02), Drop::kNotForUs},
          {"IP unicast in a broadcast frame",
           [](Bytes& f) { std::copy(kBroadcast.begin(), kBroadcast.end(), f.begin()); },
           Drop::kNotForUs},
          {"VLAN tag", set_word(12, 0x8100), Drop::kEtherType},
          {"802.3 length", set_word(12, 0x0040), Drop::kEtherType},
          {"IPv6 in an IPv4 frame", set_byte(kIp, 0x65), Drop::kIpHeader},
          {"version 0", set_byte(kIp, 0x05), Drop::kIpHeader},
          {"header length 4 words", summed(set_byte(kIp, 0x44)), Drop::kIpHeader},
          {"header length 0", set_byte(kIp, 0x40), Drop::kIpHeader},
          {"total length 0", summed(set_word(kIp + 2, 0)), Drop::kIpHeader},
          {"total length 19", summed(set_word(kIp + 2, 19)), Drop::kIpHeader},
          {"total length beyond the frame",
           summed([](Bytes& f) { put16(f, kIp + 2, static_cast<unsigned>(f.size() - kIp + 1)); }),
           Drop::kTruncated},
          {"total length 65535", summed(set_word(kIp + 2, 65'535)), Drop::kMerged},
          {"total length of the header alone", summed(set_word(kIp + 2, 20)), Drop::kTruncated},
          {"options", summed(set_byte(kIp, 0x46)), Drop::kIpOptions},
          {"most options", summed(set_byte(kIp, 0x4F)), Drop::kIpOptions},
          {"checksum", flip(kIp + 10), Drop::kIpChecksum},
          {"TTL changed without the checksum", set_byte(kIp + 8, 9), Drop::kIpChecksum},
          {"first fragment", summed(set_word(kIp + 6, 0x2000)), Drop::kFragment},
          {"middle fragment", summed(set_word(kIp + 6, 0x2010)), Drop::kFragment},
          {"last fragment", summed(set_word(kIp + 6, 0x0010)), Drop::kFragment},
          {"another unicast address", summed(set_byte(kIp + 19, 9)), Drop::kNotForUs},
          {"subnet broadcast", summed(set_byte(kIp + 19, 255)), Drop::kNotForUs},
          {"TCP", summed(set_byte(kIp + 9, kTcpProtocol)), Drop::kProtocol},
          {"UDP-Lite", summed(set_byte(kIp + 9, 136)), Drop::kProtocol},
          {"another UDP port", set_word(kUdpV4 + 2, kListenPort + 1), Drop::kUdpPort},
          {"UDP length 7", set_word(kUdpV4 + 4, 7), Drop::kTruncated},
          {"UDP length 0", set_word(kUdpV4 + 4, 0), Drop::kTruncated},
          {"UDP length beyond IP's",
           [](Bytes& f) { put16(f, kUdpV4 + 4, static_cast<unsigned>(f.size() - kUdpV4 + 1)); },
           Drop::kTruncated},
          {"UDP without payload", [](Bytes& f) { resize_message_v4(f, 0); }, Drop::kMessageLength},
      });
}

TEST_F(Classify, outer_ipv6) {
  const auto with_next_header = [](uint8_t next) { return set_byte(kIp + 6, next); };
  expect_drops(kWan, data_v6(),
               {
                   {"version 4", set_byte(kIp, 0x45), Drop::kIpHeader},
                   {"payload length beyond the frame",
                    [](Bytes& f) { put16(f, kIp + 4, static_cast<unsigned>(f.size() - kIp - 39)); },
                    Drop::kTruncated},
                   {"jumbo payload length 0", set_word(kIp + 4, 0), Drop::kTruncated},
                   {"hop-by-hop options", with_next_header(0), Drop::kIpOptions},
                   {"routing header", with_next_header(43), Drop::kIpOptions},
                   {"fragment header", with_next_header(44), Drop::kFragment},
                   {"authentication header", with_next_header(51), Drop::kIpOptions},
                   {"destination options", with_next_header(60), Drop::kIpOptions},
                   {"mobility header", with_next_header(135), Drop::kIpOptions},
                   {"no next header", with_next_header(59), Drop::kProtocol},
                   {"ESP", with_next_header(50), Drop::kProtocol},
                   {"TCP", with_next_header(kTcpProtocol), Drop::kProtocol},
                   {"another unicast address", set_byte(kIp + 39, 9), Drop::kNotForUs},
                   {"UDP to a group", set_byte(kIp + 24, 0xFF), Drop::kNotForUs},
                   {"another UDP port", set_word(kUdpV6 + 2, 53), Drop::kUdpPort},
                   {"UDP length 0", set_word(kUdpV6 + 4, 0), Drop::kTruncated},
                   {"reserved bits", set_byte(kJvpV6 + 3, 1), Drop::kReserved},
                   {"bad tag", [](Bytes& f) { f.back() ^= 1; }, Drop::kBadTag},
               });
}

TEST_F(Classify, jvp_messages) {
  using wire::MessageType;
  const auto typed = [](MessageType type, size_t bytes) {
    return [=](Bytes& f) {
      resize_message_v4(f, bytes);
      f[kJvpV4] = static_cast<uint8_t>(type);
    };
  };
  expect_drops(
      kWan, data_v4(),
      {
          {"type 0", set_byte(kJvpV4, 0), Drop::kMessageType},
          {"type 10", set_byte(kJvpV4, 10), Drop::kMessageType},
          {"type 255", set_byte(kJvpV4, 255), Drop::kMessageType},
          {"reserved byte 1", set_byte(kJvpV4 + 1, 1), Drop::kReserved},
          {"reserved byte 2", set_byte(kJvpV4 + 2, 0x80), Drop::kReserved},
          {"reserved byte 3", set_byte(kJvpV4 + 3, 0xFF), Drop::kReserved},
          {"3 bytes", [](Bytes& f) { resize_message_v4(f, 3); }, Drop::kMessageLength},
          {"preamble alone", [](Bytes& f) { resize_message_v4(f, 4); }, Drop::kMessageLength},
          {"data: header and tag alone", [](Bytes& f) { resize_message_v4(f, 32); },
           Drop::kMessageLength},
          {"data: one byte under an IPv4 header", [](Bytes& f) { resize_message_v4(f, 51); },
           Drop::kMessageLength},
          {"data: cut, yet long enough", [](Bytes& f) { resize_message_v4(f, 52); }, Drop::kBadTag},
          {"data: longer than sealed", [](Bytes& f) { resize_v4(f, 1); }, Drop::kBadTag},
          {"data: unknown index, low bits", flip(kJvpV4 + 4), Drop::kUnknownIndex},
          {"data: unknown index, high bits", flip(kJvpV4 + 7), Drop::kUnknownIndex},
          {"data: another session's index", set_byte(kJvpV4 + 4, 2), Drop::kBadTag},
          {"data: lane not announced", set_lane(4), Drop::kLaneUnknown},
          {"data: lane 65535", set_lane(0xFFFF), Drop::kLaneUnknown},
          {"data: lane changed", set_lane(1), Drop::kBadTag},
          {"data: counter changed", flip(kJvpV4 + 8), Drop::kBadTag},
          {"data: ciphertext changed", flip(kJvpV4 + 20), Drop::kBadTag},
          {"data: tag changed", [](Bytes& f) { f.back() ^= 0x80; }, Drop::kBadTag},
          {"control: header missing", typed(MessageType::kControl, 39), Drop::kMessageLength},
          {"control: data's ciphertext", set_byte(kJvpV4, 5), Drop::kBadTag},
          {"initiation short", typed(MessageType::kInitiation, sizeof(wire::Initiation) - 1),
           Drop::kMessageLength},
          {"initiation long", typed(MessageType::kInitiation, sizeof(wire::Initiation) + 1),
           Drop::kMessageLength},
          {"initiation without MACs", typed(MessageType::kInitiation, sizeof(wire::Initiation)),
           Drop::kBadMac},
          {"response short", typed(MessageType::kResponse, sizeof(wire::Response) - 1),
           Drop::kMessageLength},
          {"response to nobody", typed(MessageType::kResponse, sizeof(wire::Response)),
           Drop::kUnawaitedAnswer},
          {"response long", typed(MessageType::kResponse, sizeof(wire::Initiation) + 1),
           Drop::kMessageLength},
          {"cookie reply long", typed(MessageType::kCookieReply, sizeof(wire::SealedReply) + 1),
           Drop::kMessageLength},
          {"retry long", typed(MessageType::kRetry, sizeof(wire::SealedReply) + 1),
           Drop::kMessageLength},
          {"reset short", typed(MessageType::kReset, sizeof(wire::Reset) - 1),
           Drop::kMessageLength},
          {"reset of what we don't send to", typed(MessageType::kReset, sizeof(wire::Reset)),
           Drop::kUnawaitedAnswer},
          {"inquiry long", typed(MessageType::kInquiry, sizeof(wire::Initiation) + 1),
           Drop::kMessageLength},
          {"inquiry without MACs", typed(MessageType::kInquiry, sizeof(wire::Initiation)),
           Drop::kBadMac},
          {"readiness short", typed(MessageType::kReadiness, sizeof(wire::Readiness) - 1),
           Drop::kMessageLength},
          {"readiness to nobody", typed(MessageType::kReadiness, sizeof(wire::Readiness)),
           Drop::kUnawaitedAnswer},
          {"reset long", typed(MessageType::kReset, sizeof(wire::Reset) + 1), Drop::kMessageLength},
      });
}

TEST_F(Classify, frames_cut_at_every_length) {
  for (const Bytes& sound : {data_v4(), data_v6()}) {
    for (size_t length = 0; length < sound.size(); ++length) {
      const Bytes cut(sound.begin(), sound.begin() + static_cast<long>(length));
      expect_drop(kWan, cut, Drop::kTruncated, "cut to " + std::to_string(length));
    }
  }
  const Bytes inside = ip_frame(kPortMac, kHostMac, inner(v4_));
  for (size_t length = 0; length < inside.size(); ++length) {
    const Bytes cut(inside.begin(), inside.begin() + static_cast<long>(length));
    expect_drop(kLan, cut, Drop::kTruncated, "inside cut to " + std::to_string(length));
  }
}

TEST_F(Classify, messages_cut_at_every_length_with_right_outer_lengths) {
  const Bytes sound = data_v4();
  for (size_t message = 0; message < sound.size() - kJvpV4; ++message) {
    Bytes cut = sound;
    resize_message_v4(cut, message);
    const Drop expected = message < kMinData ? Drop::kMessageLength : Drop::kBadTag;
    expect_drop(kWan, cut, expected, "message of " + std::to_string(message));
  }
}

TEST_F(Classify, one_bit_flipped_anywhere_never_delivers_twice) {
  const Bytes sound = data_v4();
  for (size_t bit = 0; bit < sound.size() * 8; ++bit) {
    Bytes frame = sound;
    frame[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    lab_.receive(kWan, frame);
    lab_.poll();
    // Ethernet's source, and UDP's source port and (unused) checksum, protect nothing.
    const size_t byte = bit / 8;
    const bool unprotected = (byte >= 6 && byte < 12) || (byte >= kUdpV4 && byte < kUdpV4 + 2) ||
                             (byte >= kUdpV4 + 6 && byte < kUdpV4 + 8);
    const size_t delivered = lab_.sent(kLan).size();
    EXPECT_LE(delivered, unprotected ? 1U : 0U) << "bit " << bit;
    lab_.punted(PuntClass::kSlowPath);
  }
  EXPECT_LE(lab_.total(&WorkerCounters::opened), 1U);
}

TEST_F(Classify, random_frames_are_dropped_and_counted) {
  std::mt19937_64 random(run_seed());
  const Bytes sound = data_v4();
  uint64_t received = 0;
  uint64_t punted = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes frame = random() % 2 == 0 ? sound : Bytes(random() % 1500);
    if (frame.size() != sound.size())
      for (uint8_t& byte : frame) byte = static_cast<uint8_t>(random());
    for (uint64_t change = random() % 4; change > 0 && !frame.empty(); --change)
      frame[random() % frame.size()] = static_cast<uint8_t>(random());
    if (frame.size() > 14 && random() % 2 == 0) std::copy_n(sound.begin(), 14, frame.begin());
    lab_.receive(random() % 4 == 0 ? kLan : kWan, frame);
    ++received;
    lab_.poll();
    for (const auto ring : {PuntClass::kSlowPath, PuntClass::kHandshake, PuntClass::kControl})
      punted += lab_.punted(ring).size();
    lab_.sent(kLan);
    lab_.sent(kWan);
  }
  const uint64_t passed = lab_.total(&WorkerCounters::tx_packets);
  // What was refused with an ICMP error is counted as a drop and punted as well.
  EXPECT_GE(lab_.all_drops() + passed + punted, received);
  EXPECT_LE(lab_.all_drops() + passed, received);
}

TEST_F(Classify, scattered_and_jumbo_frames) {
  const uint64_t before = lab_.drops(Drop::kNoRoom);
  lab_.receive_scattered(kWan, data_v4(), 60);
  lab_.receive_scattered(kWan, Bytes(9'000), 2'000);
  lab_.receive_scattered(kLan, Bytes(9'000), 2'000);
  lab_.poll();
  EXPECT_EQ(lab_.drops(Drop::kNoRoom) - before, 3U);
}

TEST_F(Classify, frames_for_control) {
  const Mac48 group{0x33, 0x33, 0xFF, 0, 0, 1};
  const Bytes echo = payload_of(32);
  const IpFields icmp{.protocol = kIcmpProtocol, .options = {}};
  const IpFields icmp6{.protocol = kIcmpV6Protocol, .hops = 255, .options = {}};
  const Bytes arp(28, 1);
  for (const uint16_t port : {kWan, kLan}) {
    const bool wan = port == kWan;
    const IpAddress own = address(wan ? "192.0.2.1" : "10.0.0.1");
    const IpAddress near = address(wan ? "192.0.2.2" : "10.0.0.2");
    const IpAddress own6 = address(wan ? "2001:db8::1" : "fd00::1");
    const IpAddress near6 = address(wan ? "2001:db8::2" : "fd00::2");
    expect_frame(port, ethernet_frame(kBroadcast, kPeerMac, kArpType, arp), "ARP broadcast");
    expect_frame(port, ethernet_frame(kPortMac, kPeerMac, kArpType, arp), "ARP unicast");
    expect_frame(port, ip_frame(kPortMac, kPeerMac, ipv4_packet(near, own, echo, icmp)), "ping");
    expect_frame(port, ip_frame(kPortMac, kPeerMac, ipv6_packet(near6, own6, echo, icmp6)),
                 "ping6");
    expect_frame(
        port, ip_frame(group, kPeerMac, ipv6_packet(near6, address("ff02::1:ff00:1"), echo, icmp6)),
        "neighbour solicitation");
    expect_frame(
        port,
        ip_frame(kPortMac, kPeerMac,
                 ipv6_packet(address("fe80::22"), address("fe80::200:ff:fe00:0"), echo, icmp6)),
        "neighbour solicitation to our link-local address");
  }
  expect_frame(
      kLan,
      ip_frame(kPortMac, kHostMac,
               ipv4_packet(address("10.0.0.2"), address("10.0.0.1"), udp_datagram(1, 53, echo))),
      "anything to the inside address");
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
}

TEST_F(Classify, inside_frames) {
  const Bytes to_peer = ipv4_packet(address("10.0.0.2"), v4_.host(Family::kIpv4), payload_of(64));
  expect_drops(kLan, ip_frame(kPortMac, kHostMac, to_peer),
               {
                   {"unicast to another station", set_byte(0, 0x02), Drop::kNotForUs},
                   {"IP broadcast frame", set_byte(0, 0xFF), Drop::kNotForUs},
                   {"LLDP", set_word(12, 0x88CC), Drop::kEtherType},
                   {"version", set_byte(kIp, 0x55), Drop::kIpHeader},
                   {"header length", set_byte(kIp, 0x43), Drop::kIpHeader},
                   {"total length", summed(set_word(kIp + 2, 1'000)), Drop::kTruncated},
                   {"checksum", flip(kIp + 11), Drop::kIpChecksum},
                   {"TTL 1", summed(set_byte(kIp + 8, 1)), Drop::kTtlExpired},
                   {"TTL 0", summed(set_byte(kIp + 8, 0)), Drop::kTtlExpired},
                   {"to nobody", summed(set_byte(kIp + 16, 99)), Drop::kNoRoute},
                   {"to a neighbour of its own", summed([](Bytes& f) {
                      const IpAddress to = address("10.0.0.77");
                      std::copy_n(to.bytes.begin(), 4, f.begin() + kIp + 16);
                    }),
                    Drop::kNoRoute},
                   {"to a peer without a session", summed(set_byte(kIp + 18, 3)), Drop::kNoRoute},
               });
  const Bytes v6 = ipv6_packet(address("fd00::2"), v4_.host(Family::kIpv6), payload_of(64));
  expect_drops(kLan, ip_frame(kPortMac, kHostMac, v6),
               {
                   {"version", set_byte(kIp, 0x45), Drop::kIpHeader},
                   {"payload length", set_word(kIp + 4, 65), Drop::kTruncated},
                   {"hop limit 1", set_byte(kIp + 7, 1), Drop::kTtlExpired},
                   {"group, not ICMPv6", set_byte(kIp + 24, 0xFF), Drop::kNotForUs},
                   {"to nobody", set_byte(kIp + 24, 0x20), Drop::kNoRoute},
               });
}

TEST_F(Classify, opened_packets_that_are_not_sound) {
  const Bytes sound = inner(v4_);
  const Bytes sound6 = ipv6_packet(v4_.host(Family::kIpv6), address("fd00::2"), payload_of(64));
  const auto resummed = [](std::function<void(Bytes&)> change) {
    return [change = std::move(change)](Bytes& packet) {
      change(packet);
      fix_ipv4_checksum(packet, 0);
    };
  };
  struct InnerCase {
    const char* name;
    const Bytes& base;
    std::function<void(Bytes&)> spoil;
    Drop expected;
  };
  const std::vector<InnerCase> cases{
      {"version 0", sound, set_byte(0, 0x05), Drop::kInnerHeader},
      {"version 5", sound, set_byte(0, 0x55), Drop::kInnerHeader},
      {"header length 4 words", sound, set_byte(0, 0x44), Drop::kInnerHeader},
      {"header beyond total length", sound, set_word(2, 16), Drop::kInnerHeader},
      {"total length beyond the payload", sound, resummed(set_word(2, 2'000)), Drop::kInnerHeader},
      {"checksum", sound, flip(10), Drop::kInnerHeader},
      {"another peer's source", sound, resummed(set_byte(14, 2)), Drop::kInnerSource},
      {"nobody's source", sound, resummed(set_byte(12, 77)), Drop::kInnerSource},
      {"our own source", sound, resummed([](Bytes& p) {
         const IpAddress own = address("10.0.0.1");
         std::copy_n(own.bytes.begin(), 4, p.begin() + 12);
       }),
       Drop::kInnerSource},
      {"LAN host's source", sound, resummed([](Bytes& p) {
         const IpAddress host = address("10.0.0.2");
         std::copy_n(host.bytes.begin(), 4, p.begin() + 12);
       }),
       Drop::kInnerSource},
      {"TTL 1", sound, resummed(set_byte(8, 1)), Drop::kTtlExpired},
      {"to nobody", sound, resummed(set_byte(16, 200)), Drop::kNoRoute},
      {"IPv6: cut under its header", sound6, [](Bytes& p) { p.resize(39); }, Drop::kInnerHeader},
      {"IPv6: payload length", sound6, set_word(4, 65), Drop::kInnerHeader},
      {"IPv6: another peer's source", sound6, set_byte(3 + 8, 2), Drop::kInnerSource},
      {"IPv6: hop limit 0", sound6, set_byte(7, 0), Drop::kTtlExpired},
      {"IPv6: to nobody", sound6, set_byte(24, 0x3F), Drop::kNoRoute},
  };
  uint64_t sequence = 100;
  for (const InnerCase& test : cases) {
    Bytes packet = test.base;
    test.spoil(packet);
    expect_drop(kWan, v4_.seal_at_peer(packet, 0, sequence++), test.expected, test.name);
  }
}

TEST_F(Classify, link_layer_padding_is_no_payload) {
  const Bytes small = ipv4_packet(v4_.host(Family::kIpv4), address("10.0.0.2"), payload_of(1));
  Bytes frame = v4_.seal_at_peer(small, 0, 1);
  append(frame, Bytes(20, 0xEE));
  lab_.receive(kWan, frame);
  lab_.poll();
  const auto sent = lab_.sent(kLan);
  ASSERT_EQ(sent.size(), 1U) << lab_.drop_text();
  EXPECT_EQ(sent[0].size(), 14 + small.size());
}

TEST_F(Classify, control_messages_reach_control_opened) {
  const Bytes plaintext = payload_of(100, 3);
  for (const TestSession* session : {&v4_, &v6_}) {
    lab_.receive(kWan, session->control_at_peer(plaintext, 77));
    lab_.poll();
    const auto punted = lab_.punted(PuntClass::kControl);
    ASSERT_EQ(punted.size(), 1U) << lab_.drop_text();
    const PacketNote& note = punted[0].note;
    EXPECT_EQ(note.receiver, session->rx().index.value);
    EXPECT_EQ(note.peer, session->spec().peer);
    EXPECT_EQ(note.counter, 77U);
    EXPECT_EQ(note.port, kWan);
    const auto begin = punted[0].bytes.begin() + note.payload_offset;
    EXPECT_EQ(Bytes(begin, begin + note.payload_bytes), plaintext);
  }
  Bytes forged = v4_.control_at_peer(plaintext, 78);
  forged.back() ^= 1;
  expect_drop(kWan, forged, Drop::kBadTag, "control: tag");
  Bytes unknown = v4_.control_at_peer(plaintext, 79);
  unknown[kJvpV4 + 6] ^= 1;
  expect_drop(kWan, unknown, Drop::kUnknownIndex, "control: index");
}

}  // namespace
}  // namespace jvpn::test
