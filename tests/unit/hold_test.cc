// What waits for a path: the latest packets, within bytes and time.
#include "tools/client/dataplane/hold.h"

#include <gtest/gtest.h>

namespace jvpn::client::dataplane {
namespace {

std::vector<uint8_t> packet_of(size_t bytes, uint8_t first) {
  std::vector<uint8_t> packet(bytes);
  packet[0] = first;
  return packet;
}

TEST(Hold, GivesPacketsBackInTheirOrder) {
  Hold hold;
  for (uint8_t i = 0; i < 5; ++i) EXPECT_EQ(hold.keep(Millis{i}, {}, packet_of(100, i)), 0U);
  for (uint8_t i = 0; i < 5; ++i) EXPECT_EQ(hold.take()->bytes[0], i);
  EXPECT_FALSE(hold.take());
  EXPECT_TRUE(hold.empty());
}

TEST(Hold, TheOldestGiveWay) {
  Hold hold;
  constexpr size_t kHalf = Hold::kMostBytes / 2;
  EXPECT_EQ(hold.keep(Millis{1}, {}, packet_of(kHalf, 1)), 0U);
  EXPECT_EQ(hold.keep(Millis{1}, {}, packet_of(kHalf, 2)), 0U);
  EXPECT_EQ(hold.keep(Millis{1}, {}, packet_of(1, 3)), 1U);
  EXPECT_EQ(hold.take()->bytes[0], 2);
  EXPECT_EQ(hold.keep(Millis{1}, {}, packet_of(kHalf, 4)), 0U) << "what was taken takes no room";
  EXPECT_EQ(hold.keep(Millis{1}, {}, packet_of(Hold::kMostBytes + 1, 5)), 1U);
  EXPECT_EQ(hold.take()->bytes[0], 3);
}

TEST(Hold, WhatHasWaitedTooLongIsDropped) {
  Hold hold;
  hold.keep(Millis{0}, {}, packet_of(10, 1));
  hold.keep(Millis{1'000}, {}, packet_of(10, 2));
  EXPECT_EQ(hold.drop_old(Hold::kLongest), 0U);
  EXPECT_EQ(hold.drop_old(Hold::kLongest + Millis{1}), 1U);
  EXPECT_EQ(hold.keep(Hold::kLongest + Millis{1'001}, {}, packet_of(10, 3)), 1U);
  EXPECT_EQ(hold.take()->bytes[0], 3);
}

}  // namespace
}  // namespace jvpn::client::dataplane
