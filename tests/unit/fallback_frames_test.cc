// Datagrams in a stream: any cut of it gives the same ones, what has no datagram's length is
// refused, queues and quotas are bounded.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/seed.h"
#include "tools/fallback/network_quota.h"
#include "tools/shared/fallback/frames.h"

namespace jvpn::fallback {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kSmallest = 2 * (kLengthBytes + kMostDatagram);

Bytes frame_of(size_t length, size_t bytes) {
  Bytes frame(kLengthBytes + bytes);
  frame[0] = static_cast<uint8_t>(length);
  frame[1] = static_cast<uint8_t>(length >> 8);
  return frame;
}

/// Gives the reader as much at once as `cut` says.
template <typename Cut>
std::vector<Bytes> read_all(FrameReader& reader, const Bytes& stream, Cut cut) {
  std::vector<Bytes> datagrams;
  for (size_t at = 0; at < stream.size();) {
    const auto room = reader.room();
    const size_t bytes = std::min({room.size(), stream.size() - at, size_t{cut()}});
    std::copy_n(stream.begin() + static_cast<ptrdiff_t>(at), bytes, room.begin());
    reader.commit(bytes);
    at += bytes;
    while (const auto datagram = reader.next())
      datagrams.emplace_back(datagram->begin(), datagram->end());
    if (reader.refused()) break;
  }
  return datagrams;
}

TEST(FallbackFrames, AnyCutOfTheStreamGivesTheSameDatagrams) {
  std::mt19937_64 random(test::run_seed());
  const auto up_to = [&](size_t most) { return static_cast<size_t>(random() % most); };
  for (int round = 0; round < test::rounds(200); ++round) {
    FrameQueue queue(1 << 24);
    std::vector<Bytes> sent(1 + up_to(60));
    for (Bytes& each : sent) {
      const size_t wide = up_to(4) == 0 ? kMostDatagram : 1'500;
      each.resize(kLeastDatagram + up_to(wide - kLeastDatagram + 1));
      for (uint8_t& byte : each) byte = static_cast<uint8_t>(random());
      ASSERT_TRUE(queue.add(each, Urgency::kData));
    }
    const Bytes stream(queue.front().begin(), queue.front().end());
    FrameReader reader(kSmallest + up_to(100'000));
    const size_t most = 1 + up_to(round % 2 == 0 ? 7 : 20'000);
    const auto got = read_all(reader, stream, [&] { return 1 + up_to(most); });
    ASSERT_EQ(got, sent) << "round " << round;
    EXPECT_FALSE(reader.refused());
  }
}

TEST(FallbackFrames, LengthsThatNoDatagramHasAreRefused) {
  for (const size_t length : {size_t{0}, kLeastDatagram - 1, kMostDatagram + 1, size_t{65'535}}) {
    FrameReader reader(kSmallest);
    Bytes stream = frame_of(kLeastDatagram, kLeastDatagram);
    const Bytes bad = frame_of(length, 200);
    stream.insert(stream.end(), bad.begin(), bad.end());
    EXPECT_EQ(read_all(reader, stream, [] { return 5; }).size(), 1U) << "what came before it";
    ASSERT_TRUE(reader.refused()) << length;
    EXPECT_EQ(*reader.refused(), length);
    EXPECT_FALSE(reader.next()) << "nothing comes behind it";
  }
  for (const size_t length : {kLeastDatagram, kMostDatagram}) {
    FrameReader reader(kSmallest);
    EXPECT_EQ(read_all(reader, frame_of(length, length), [] { return 4'000; }).size(), 1U)
        << length;
  }
}

TEST(FallbackFrames, AQueueIsBoundedAndKeepsRoomForControl) {
  FrameQueue queue(10'000);
  const Bytes datagram(1'000);
  size_t data = 0;
  while (queue.add(datagram, Urgency::kData)) ++data;
  EXPECT_EQ(data, 10U) << "the last may go beyond the limit";
  size_t control = 0;
  while (queue.add(datagram, Urgency::kControl)) ++control;
  EXPECT_GT(control, 30U);
  EXPECT_LE(queue.bytes(), 10'000 + FrameQueue::kReserve + kLengthBytes + datagram.size());
  EXPECT_FALSE(queue.add(datagram, Urgency::kData));
  queue.consume(queue.bytes());
  EXPECT_TRUE(queue.add(datagram, Urgency::kData));
  EXPECT_FALSE(queue.add(Bytes(kMostDatagram + 1), Urgency::kControl));
  EXPECT_FALSE(queue.add(Bytes(kLeastDatagram - 1), Urgency::kControl));
}

TEST(FallbackFrames, WhatIsConsumedInPiecesStaysInOrder) {
  std::mt19937_64 random(test::run_seed());
  FrameQueue queue(4'096);
  FrameReader reader(kSmallest);
  uint32_t sent = 0;
  uint32_t got = 0;
  for (int round = 0; round < test::rounds(20'000); ++round) {
    Bytes datagram(kLeastDatagram + random() % 600);
    std::copy_n(reinterpret_cast<const uint8_t*>(&sent), sizeof sent, datagram.begin());
    if (queue.add(datagram, Urgency::kData)) ++sent;
    const auto front = queue.front();
    const size_t bytes = std::min<size_t>(front.size(), random() % 700);
    Bytes piece(front.begin(), front.begin() + static_cast<ptrdiff_t>(bytes));
    queue.consume(bytes);
    for (const Bytes& each : read_all(reader, piece, [] { return 10'000; })) {
      uint32_t number = 0;
      std::copy_n(each.begin(), sizeof number, reinterpret_cast<uint8_t*>(&number));
      ASSERT_EQ(number, got++) << "round " << round;
    }
  }
  EXPECT_GT(got, 1'000U);
}

TEST(FallbackFrames, AFirstMessageIsOneThatAnInitiatorSends) {
  struct Case {
    const char* name;
    uint8_t type;
    uint8_t reserved;
    size_t bytes;
    bool begins;
  };
  const std::vector<Case> cases{
      {"an initiation", 1, 0, sizeof(wire::Initiation), true},
      {"a short initiation", 1, 0, sizeof(wire::Initiation) - 1, false},
      {"a response", 2, 0, 500, false},
      {"a cookie reply", 3, 0, 500, false},
      {"data", 4, 0, 200, true},
      {"data of nothing", 4, 0, wire::kTransportOverhead, false},
      {"control", 5, 0, 100, true},
      {"a retry", 6, 0, 500, false},
      {"a reset", 7, 0, 40, false},
      {"an inquiry", 8, 0, 300, true},
      {"readiness", 9, 0, 300, false},
      {"no type", 0, 0, 300, false},
      {"HTTP", 'G', 'E', 300, false},
      {"a reserved byte", 5, 1, 100, false},
      {"too long", 5, 0, kMostDatagram + 1, false},
      {"too short", 5, 0, 3, false},
  };
  for (const Case& each : cases) {
    Bytes datagram(each.bytes);
    datagram[0] = each.type;
    datagram[1] = each.reserved;
    EXPECT_EQ(begins_exchange(datagram), each.begins) << each.name;
  }
}

TEST(FallbackQuota, EachNetworkHasItsShare) {
  NetworkQuota quota(2);
  const auto of = [](const char* text) { return network_of(*IpAddress::parse(text)); };
  EXPECT_TRUE(quota.take(of("192.0.2.1")));
  EXPECT_TRUE(quota.take(of("192.0.2.200")));
  EXPECT_FALSE(quota.take(of("192.0.2.77"))) << "the /24 has both of its";
  EXPECT_TRUE(quota.take(of("192.0.3.1")));
  EXPECT_TRUE(quota.take(of("2001:db8:1:1::1")));
  EXPECT_TRUE(quota.take(of("2001:db8:1:2::1")));
  EXPECT_FALSE(quota.take(of("2001:db8:1:3::1"))) << "of one /48";
  EXPECT_TRUE(quota.take(of("2001:db8:2::1")));
  quota.give_back(of("192.0.2.1"));
  EXPECT_TRUE(quota.take(of("192.0.2.3")));
  for (int i = 0; i < 2; ++i) quota.give_back(of("192.0.2.1"));
  for (int i = 0; i < 2; ++i) quota.give_back(of("2001:db8:1::1"));
  EXPECT_EQ(quota.networks(), 2U) << "what has none takes no memory";
}

TEST(FallbackQuota, NobodyBeginsTooManyConnectionsInASecond) {
  AcceptRate rate;
  Millis now{5'000};
  const auto taken = [&](const Prefix& network, uint32_t times) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < times; ++i) count += rate.take(now, network) ? 1 : 0;
    return count;
  };
  const auto of = [](uint32_t n) {
    return network_of(*IpAddress::parse("192.0." + std::to_string(n) + ".1"));
  };
  EXPECT_EQ(taken(of(0), 1'000), AcceptRate::kMostOfNetwork);
  uint32_t all = AcceptRate::kMostOfNetwork;
  for (uint32_t n = 1; n < 100; ++n) all += taken(of(n), 100);
  EXPECT_EQ(all, AcceptRate::kMost);
  now = now + AcceptRate::kSpan;
  EXPECT_EQ(taken(of(0), 1'000), AcceptRate::kMostOfNetwork) << "a second later";
}

}  // namespace
}  // namespace jvpn::fallback
