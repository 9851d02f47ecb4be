// TCP segments joined into super-packets: what may be joined, and that nothing is lost or
// reordered.
#include "tools/client/tunnel/coalescer.h"

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/support/segment_builder.h"

namespace jvpn {
namespace {

using namespace segments;

class SuperSink : public SuperPacketSink {
 public:
  void write(std::span<const iovec> pieces) override {
    VnetHeader header;
    ASSERT_EQ(pieces[0].iov_len, sizeof header);
    std::memcpy(&header, pieces[0].iov_base, sizeof header);
    Bytes packet;
    for (const iovec& piece : pieces.subspan(1)) {
      const auto* data = static_cast<const uint8_t*>(piece.iov_base);
      packet.insert(packet.end(), data, data + piece.iov_len);
    }
    headers.push_back(header);
    packets.push_back(std::move(packet));
  }
  std::vector<VnetHeader> headers;
  std::vector<Bytes> packets;
};

std::vector<Bytes> join(std::vector<Bytes>& packets, std::vector<VnetHeader>* headers = nullptr) {
  Coalescer coalescer;
  for (Bytes& packet : packets) coalescer.add(packet);
  SuperSink sink;
  coalescer.flush(sink);
  if (headers != nullptr) *headers = sink.headers;
  return sink.packets;
}

TEST(Coalesce, UndoesSplitting) {
  for (const bool v4 : {true, false}) {
    const Shape shape = tcp(v4, 20'001, kAck | kPsh);
    VnetHeader expected_header;
    const Bytes expected = make_super(shape, expected_header, 1'368);
    auto packets = reference_split(shape, 1'368);
    std::vector<VnetHeader> headers;
    const auto joined = join(packets, &headers);
    ASSERT_EQ(joined.size(), 1U);
    EXPECT_EQ(joined[0], expected);
    EXPECT_EQ(std::memcmp(headers.data(), &expected_header, sizeof expected_header), 0);
  }
}

TEST(Coalesce, KeepsSinglePacketsUntouched) {
  std::vector<Bytes> packets{make_packet(udp(true, 40)), make_packet(tcp(false, 50, kSyn)),
                             make_packet(tcp(true, 0))};
  const auto before = packets;
  std::vector<VnetHeader> headers;
  EXPECT_EQ(join(packets, &headers), before);
  for (const VnetHeader& header : headers) EXPECT_EQ(header.flags | header.gso_type, 0);
}

TEST(Coalesce, FlowsDontMix) {
  std::vector<Bytes> packets;
  for (int i = 0; i < 4; ++i) {
    for (const uint16_t port : {uint16_t{80}, uint16_t{443}}) {
      Shape shape = tcp(true, 500);
      shape.port = port;
      shape.sequence += static_cast<uint32_t>(i * 500);
      packets.push_back(make_packet(shape, static_cast<size_t>(i) * 500));
    }
  }
  const auto joined = join(packets);
  ASSERT_EQ(joined.size(), 2U);
  for (const Bytes& one : joined) EXPECT_EQ(one.size(), 52U + 4 * 500);
}

struct JoinCase {
  const char* name;
  void (*change)(Shape&);  ///< of the second of three segments
  void (*spoil)(Bytes&);   ///< after its checksum was set
  size_t super_packets;    ///< written for the three
};

class CoalesceRefusal : public testing::TestWithParam<JoinCase> {};

TEST_P(CoalesceRefusal, WhatDiffersIsNotJoined) {
  std::vector<Bytes> packets;
  for (int i = 0; i < 3; ++i) {
    Shape shape = tcp(true, 500);
    shape.sequence += static_cast<uint32_t>(i * 500);
    if (i == 1 && GetParam().change != nullptr) GetParam().change(shape);
    packets.push_back(make_packet(shape));
    if (i == 1 && GetParam().spoil != nullptr) GetParam().spoil(packets.back());
  }
  EXPECT_EQ(join(packets).size(), GetParam().super_packets);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CoalesceRefusal,
    testing::Values(JoinCase{"nothing_differs", nullptr, nullptr, 1},
                    JoinCase{"gap", [](Shape& s) { s.sequence += 1; }, nullptr, 3},
                    JoinCase{"shorter_ends_the_run", [](Shape& s) { s.payload = 400; }, nullptr, 2},
                    JoinCase{"longer_begins_anew", [](Shape& s) { s.payload = 600; }, nullptr, 3},
                    JoinCase{"push_ends_the_run", [](Shape& s) { s.flags |= kPsh; }, nullptr, 2},
                    JoinCase{"syn", [](Shape& s) { s.flags |= kSyn; }, nullptr, 3},
                    JoinCase{"cwr", [](Shape& s) { s.flags |= kCwr; }, nullptr, 3},
                    JoinCase{"options", [](Shape& s) { s.options = 16; }, nullptr, 3},
                    JoinCase{"pure_ack_between", [](Shape& s) { s.payload = 0; }, nullptr, 3},
                    JoinCase{"bad_checksum", nullptr, [](Bytes& p) { p.back() ^= 1; }, 3},
                    JoinCase{"bad_ip_checksum", nullptr, [](Bytes& p) { p[10] ^= 1; }, 3},
                    JoinCase{"ttl", nullptr, [](Bytes& p) { p[8] = 63; }, 3},
                    JoinCase{"ecn", nullptr, [](Bytes& p) { p[1] ^= 1; }, 3},
                    JoinCase{"fragment", nullptr, [](Bytes& p) { p[6] |= 0x20; }, 3}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Coalesce, NeverOver64KiB) {
  Shape shape = tcp(true, 1'400);
  std::vector<Bytes> packets;
  for (int i = 0; i < 100; ++i, shape.sequence += 1'400) packets.push_back(make_packet(shape));
  size_t payload = 0;
  for (const Bytes& one : join(packets)) {
    EXPECT_LE(one.size(), kMaxSuperPacket);
    payload += one.size() - shape.headers();
  }
  EXPECT_EQ(payload, 100U * 1'400);
}

// Whatever the order and the mix, cutting what was joined gives back every packet, each flow in
// its order.
TEST(CoalesceProperty, CuttingGivesBackEveryPacket) {
  Seeded random;
  SCOPED_TRACE(random.note());
  for (int round = 0; round < 500; ++round) {
    std::vector<Bytes> packets;
    std::array<uint32_t, 4> sequences{};
    for (size_t i = 1 + random.below(80); i > 0; --i) {
      const size_t flow = random.below(4);
      Shape shape = tcp(flow % 2 == 0, random.below(4) == 0 ? random.below(900) : 900);
      shape.port = static_cast<uint16_t>(flow);
      shape.id = 0;
      shape.flags = static_cast<uint8_t>(kAck | (random.below(6) == 0 ? kPsh : 0));
      shape.sequence = sequences[flow];
      sequences[flow] += static_cast<uint32_t>(shape.payload);
      packets.push_back(make_packet(shape, shape.sequence));
    }
    const auto before = packets;
    std::vector<VnetHeader> headers;
    const auto joined = join(packets, &headers);
    CollectingSink sink;
    for (size_t i = 0; i < joined.size(); ++i)
      ASSERT_EQ(split(headers[i], joined[i], sink), SplitVerdict::kDone);
    const auto of_flow = [](const std::vector<Bytes>& all, uint16_t port) {
      std::vector<Bytes> out;
      for (Bytes packet : all) {
        const size_t at = packet[0] >> 4 == 4 ? 20 : 40;
        if (load_be16(&packet[at + 2]) != port) continue;
        if (at == 20) std::fill_n(packet.begin() + 4, 2, uint8_t{0});   // identification and,
        if (at == 20) std::fill_n(packet.begin() + 10, 2, uint8_t{0});  // with it, the checksum
        out.push_back(std::move(packet));
      }
      return out;
    };
    for (uint16_t port = 0; port < 4; ++port)
      ASSERT_EQ(of_flow(sink.packets, port), of_flow(before, port)) << "round " << round;
  }
}

TEST(CoalesceProperty, NonsenseNeverFaults) {
  Seeded random;
  SCOPED_TRACE(random.note());
  for (int round = 0; round < 3'000; ++round) {
    std::vector<Bytes> packets;
    for (size_t i = random.below(20); i > 0; --i) {
      Bytes packet = make_packet(tcp(random.below(2) == 0, random.below(100)));
      for (size_t n = random.below(4); n > 0; --n)
        packet[random.below(packet.size())] = static_cast<uint8_t>(random.engine());
      packet.resize(20 + random.below(packet.size() - 19));
      packet.shrink_to_fit();
      if (inner_family(packet) == Family::kNone) {
        if (packet[0] >> 4 == 4) store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
        if (packet[0] >> 4 == 6 && packet.size() >= 40)
          store_be16(&packet[4], static_cast<uint16_t>(packet.size() - 40));
      }
      if (inner_family(packet) != Family::kNone) packets.push_back(std::move(packet));
    }
    EXPECT_LE(join(packets).size(), packets.size());
  }
}

}  // namespace
}  // namespace jvpn
