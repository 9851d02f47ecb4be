// What the attacker without keys sends. JVPN_SEED replays a run.
#include "lab/attack/forgery.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "common/wire.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::lab {
namespace {

using test::fresh_seed;

std::vector<uint8_t> recorded(wire::MessageType type, size_t bytes) {
  std::vector<uint8_t> message(bytes, 0x55);
  wire::TransportHeader header{};
  header.type = type;
  header.receiver = 0x01020304;
  header.counter = 77;
  __builtin_memcpy(message.data(), &header, std::min(sizeof header, bytes));
  return message;
}

TEST(ForgeryTest, Names) {
  EXPECT_EQ(parse_forgery("replay"), Forgery::kReplay);
  EXPECT_EQ(parse_forgery("noise"), Forgery::kNoise);
  EXPECT_FALSE(parse_forgery("bribe"));
}

TEST(ForgeryTest, AReplayIsTheMessage) {
  std::mt19937_64 random(fresh_seed());
  const auto message = recorded(wire::MessageType::kControl, 104);
  EXPECT_EQ(forged(Forgery::kReplay, message, random), message);
}

TEST(ForgeryTest, AForgeryHasTheIndexAndANewCounter) {
  const uint64_t seed = fresh_seed();
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1'000; ++i) {
    const auto message =
        recorded(i % 2 == 0 ? wire::MessageType::kControl : wire::MessageType::kData,
                 32 + static_cast<size_t>(i));
    const auto made = forged(Forgery::kForge, message, random);
    ASSERT_EQ(made.size(), message.size());
    wire::TransportHeader header;
    __builtin_memcpy(&header, made.data(), sizeof header);
    EXPECT_EQ(made[0], message[0]);
    EXPECT_EQ(header.receiver, 0x01020304U) << "seed " << seed;
    EXPECT_GT(header.counter, 77U) << "seed " << seed;
    EXPECT_FALSE(std::equal(made.begin() + 16, made.end(), message.begin() + 16))
        << "seed " << seed;
  }
}

TEST(ForgeryTest, AForgedHandshakeKeepsItsTypeAlone) {
  const uint64_t seed = fresh_seed();
  std::mt19937_64 random(seed);
  const auto message = recorded(wire::MessageType::kInitiation, sizeof(wire::Initiation));
  const auto made = forged(Forgery::kForge, message, random);
  ASSERT_EQ(made.size(), message.size());
  EXPECT_TRUE(std::equal(made.begin(), made.begin() + 4, message.begin()));
  EXPECT_FALSE(std::equal(made.begin() + 4, made.end(), message.begin() + 4)) << "seed " << seed;
}

TEST(ForgeryTest, ATruncationIsABeginning) {
  const uint64_t seed = fresh_seed();
  std::mt19937_64 random(seed);
  const auto message = recorded(wire::MessageType::kData, 200);
  for (int i = 0; i < 1'000; ++i) {
    const auto made = forged(Forgery::kTruncate, message, random);
    ASSERT_GE(made.size(), 1U);
    ASSERT_LE(made.size(), message.size());
    EXPECT_TRUE(std::equal(made.begin(), made.end(), message.begin())) << "seed " << seed;
  }
}

TEST(ForgeryTest, TheSeedDecidesTheNoise) {
  const uint64_t seed = fresh_seed();
  std::mt19937_64 one(seed), other(seed);
  const auto message = recorded(wire::MessageType::kData, 200);
  for (int i = 0; i < 1'000; ++i) {
    const auto made = forged(Forgery::kNoise, message, one);
    EXPECT_EQ(made, forged(Forgery::kNoise, message, other));
    EXPECT_GE(made.size(), 1U);
    EXPECT_LT(made[0], 8U);
  }
}

}  // namespace
}  // namespace jvpn::lab
