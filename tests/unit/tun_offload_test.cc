// Super-packets of the TUN cut into packets, against a plain reference, and headers that make no
// sense.
#include "tools/client/tunnel/tun_offload.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checksum.h"
#include "tests/support/rooms.h"
#include "tests/support/segment_builder.h"

namespace jvpn {
namespace {

using namespace segments;

Shape random_shape(Seeded& random) {
  Shape shape;
  shape.v4 = random.below(2) == 0;
  shape.protocol = random.below(4) == 0 ? kProtocolUdp : kProtocolTcp;
  shape.payload = 1 + random.below(20'000);
  shape.flags = static_cast<uint8_t>(kAck | (random.below(2) ? kPsh : 0) |
                                     (random.below(8) ? 0 : kFin) | (random.below(8) ? 0 : kCwr));
  shape.options = 4 * random.below(11);
  shape.sequence = static_cast<uint32_t>(random.engine());
  shape.id = static_cast<uint16_t>(random.engine());
  return shape;
}

// --- checksums ---

TEST(Checksum, AgreesWithTheReferenceAtEveryLengthAndAlignment) {
  Seeded random;
  SCOPED_TRACE(random.note());
  const Bytes memory = random.bytes(2'100);
  for (size_t length = 0; length < 2'050; ++length) {
    const auto bytes = std::span(memory).subspan(length % 37, length);
    const uint16_t sum = checksum_fold(checksum_add(bytes, 0));
    ASSERT_EQ(__builtin_bswap16(sum), reference_sum(bytes, 0)) << "length " << length;
  }
}

TEST(Checksum, CarriesSurviveAllOnes) {
  const Bytes ones(65'535, 0xFF);
  const uint16_t expected = reference_sum(ones, 0);
  EXPECT_EQ(__builtin_bswap16(checksum_fold(checksum_add(ones, 0))), expected);
  EXPECT_EQ(__builtin_bswap16(checksum_fold(checksum_add(ones, UINT64_MAX))), expected);
}

// --- splitting ---

struct SplitCase {
  const char* name;
  Shape shape;
  size_t gso_bytes;
};

class Split : public testing::TestWithParam<SplitCase> {};

TEST_P(Split, EqualsWhatTheStackWouldHaveSent) {
  const auto& [name, shape, gso_bytes] = GetParam();
  VnetHeader header;
  const Bytes packet = make_super(shape, header, gso_bytes);
  const auto expected = reference_split(shape, gso_bytes);
  CollectingSink sink;
  ASSERT_EQ(split(header, packet, sink), SplitVerdict::kDone);
  ASSERT_EQ(sink.packets.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(sink.packets[i], expected[i]) << i;

  const SplitPlan plan = plan_split(header, packet);
  size_t bytes = 0;
  for (const Bytes& one : expected) bytes += one.size();
  EXPECT_EQ(plan.packets, expected.size());
  EXPECT_EQ(plan.largest, expected[0].size());
  EXPECT_EQ(plan.bytes, bytes);
}

Shape wrapping() {
  Shape shape = tcp(true, 9'000);
  shape.sequence = 0xFFFFFF00;
  shape.id = 0xFFFE;
  return shape;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Split,
    testing::Values(SplitCase{"v4", tcp(true, 4'000), 1'000},
                    SplitCase{"v6", tcp(false, 4'000), 1'000},
                    SplitCase{"odd_pieces", tcp(true, 4'001), 1'333},
                    SplitCase{"one_byte_left", tcp(false, 2'737), 1'368},
                    SplitCase{"single", tcp(true, 10), 1'368},
                    SplitCase{"push_and_finish", tcp(true, 3'000, kAck | kPsh | kFin), 1'000},
                    SplitCase{"congestion_window_reduced", tcp(false, 3'000, kAck | kCwr), 1'000},
                    SplitCase{"no_options", tcp(true, 3'000, kAck, 0), 700},
                    SplitCase{"most_options", tcp(false, 3'000, kAck, 40), 700},
                    SplitCase{"sequence_and_id_wrap", wrapping(), 1'000},
                    SplitCase{"largest", tcp(true, 65'535 - 52), 1'368},
                    SplitCase{"udp_v4", udp(true, 5'001), 1'200},
                    SplitCase{"udp_v6", udp(false, 5'001), 1'200}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(SplitProperty, RandomSuperPackets) {
  Seeded random;
  SCOPED_TRACE(random.note());
  for (int round = 0; round < 2'000; ++round) {
    const Shape shape = random_shape(random);
    const size_t gso_bytes = 1 + random.below(1'400) + shape.payload / 100;
    VnetHeader header;
    const Bytes packet = make_super(shape, header, gso_bytes);
    CollectingSink sink;
    ASSERT_EQ(split(header, packet, sink), SplitVerdict::kDone) << "round " << round;
    ASSERT_EQ(sink.packets, reference_split(shape, gso_bytes)) << "round " << round;
  }
}

TEST(SplitWhole, CompletesTheChecksum) {
  for (const bool v4 : {true, false}) {
    for (const Shape& shape : {tcp(v4, 0), tcp(v4, 1'001), udp(v4, 33)}) {
      VnetHeader header;
      const Bytes packet = make_super(shape, header, 1);
      header.gso_type = kGsoNone;
      CollectingSink sink;
      ASSERT_EQ(split(header, packet, sink), SplitVerdict::kDone);
      EXPECT_EQ(sink.packets.at(0), make_packet(shape));
    }
  }
}

TEST(SplitWhole, LeavesFinishedPacketsAlone) {
  const Bytes packet = make_packet(tcp(true, 100));
  CollectingSink sink;
  ASSERT_EQ(split(VnetHeader{}, packet, sink), SplitVerdict::kDone);
  EXPECT_EQ(sink.packets.at(0), packet);
}

TEST(SplitRefusal, SinkWithoutRoom) {
  VnetHeader header;
  const Bytes packet = make_super(tcp(true, 4'000), header, 1'000);
  CollectingSink sink;
  sink.room = 2;
  EXPECT_EQ(split(header, packet, sink), SplitVerdict::kNoRoom);
  EXPECT_EQ(sink.packets.size(), 2U);
}

TEST(SplitRefusal, AChecksumBehindThePacketIsMalformed) {
  const Bytes packet = make_packet(udp(true, 10));
  const VnetHeader behind{.flags = kVnetNeedsCsum,
                          .csum_start = 20,
                          .csum_offset = static_cast<uint16_t>(packet.size() - 21)};
  CollectingSink sink;
  EXPECT_EQ(split(behind, packet, sink), SplitVerdict::kMalformed);
  EXPECT_EQ(plan_split(behind, packet).packets, 0U) << "no room is taken for it";
}

TEST(SplitRefusal, ContradictionsAreMalformed) {
  VnetHeader good;
  const Bytes packet = make_super(tcp(true, 4'000), good, 1'000);
  const auto refused = [&](auto spoil) {
    VnetHeader header = good;
    Bytes bytes = packet;
    spoil(header, bytes);
    CollectingSink sink;
    return split(header, bytes, sink) == SplitVerdict::kMalformed && sink.packets.empty() &&
           plan_split(header, bytes).packets == 0;
  };
  EXPECT_TRUE(refused([](auto& h, auto&) { h.gso_bytes = 0; }));
  EXPECT_TRUE(refused([](auto& h, auto&) { h.flags = 0; }));
  EXPECT_TRUE(refused([](auto& h, auto&) { h.gso_type = kGsoTcp6; }));
  EXPECT_TRUE(refused([](auto& h, auto&) { h.gso_type = 3; }));
  EXPECT_TRUE(refused([](auto& h, auto&) { h.csum_start = 24; }));
  EXPECT_TRUE(refused([](auto& h, auto&) { h.csum_start = 65'535; }));
  EXPECT_TRUE(refused([](auto&, auto& p) { p[20 + 12] = 0x40; }));
  EXPECT_TRUE(refused([](auto&, auto& p) { p.resize(40); }));
  EXPECT_TRUE(refused([](auto&, auto& p) { p.clear(); }));
}

TEST(SplitProperty, NonsenseNeverFaults) {
  Seeded random;
  SCOPED_TRACE(random.note());
  for (int round = 0; round < 20'000; ++round) {
    VnetHeader header;
    Bytes packet = make_super(random_shape(random), header, 1 + random.below(2'000));
    packet.resize(random.below(packet.size() + 1));
    packet.shrink_to_fit();
    const Bytes noise = random.bytes(sizeof header);
    if (random.below(2) == 0) std::memcpy(&header, noise.data(), sizeof header);
    for (size_t i = random.below(6); i > 0 && !packet.empty(); --i)
      packet[random.below(std::min<size_t>(packet.size(), 60))] = noise[i];
    if (packet.size() >= 4 && random.below(2) == 0)
      store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
    CollectingSink sink;
    sink.room = 600;
    const SplitPlan plan = plan_split(header, packet);
    if (split(header, packet, sink) == SplitVerdict::kDone) {
      ASSERT_EQ(sink.packets.size(), plan.packets) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace jvpn
