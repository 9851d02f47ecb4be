#include "control/protocol/cookies.h"

#include "common/limits.h"
#include "control/protocol/cookie_holders.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using CookiesPart = test::PartRig;

TEST_F(CookiesPart, SecretsRotateOnlyWhileCookiesMayBeOut) {
  Cookies cookies(context, PublicKey{7}, now);
  EXPECT_EQ(cookies.due(), kNever);
  const uint64_t before = cookies.generation();
  cookies.send_reply(now, test::path_over(1), wire::Initiation{});
  EXPECT_EQ(count<Send>(), 1U);
  EXPECT_LT(latest<Send>().bytes, sizeof(wire::Initiation)) << "shorter than what it answers";
  EXPECT_EQ(cookies.due(), now + Millis{kCookieSecretMs});
  for (int period = 1; period <= 2; ++period) {
    cookies.serve(now + Millis{kCookieSecretMs * static_cast<uint64_t>(period)});
  }
  EXPECT_EQ(cookies.generation(), before + 2);
  EXPECT_EQ(cookies.due(), kNever);
}

TEST_F(CookiesPart, WhatAWorkerFoundIsTaken) {
  Cookies cookies(context, PublicKey{7}, now);
  const std::array<uint8_t, sizeof(wire::Initiation)> garbage{};
  EXPECT_EQ(cookies.check(test::path_over(1), garbage, std::nullopt), MacVerdict::kBad);
  EXPECT_EQ(cookies.check(test::path_over(1), garbage, MacVerdict::kVerified),
            MacVerdict::kVerified);
}

class CookieHoldersTest : public test::PartRig {
 protected:
  CookieHoldersTest() { config.handshakes_per_s = 64; }
  /// Of so many initiations from `source(i)`.
  template <typename Source>
  size_t admitted(size_t count, Source source) {
    size_t taken = 0;
    for (size_t i = 0; i < count; ++i) taken += holders->admit(now, source(i)) ? 1 : 0;
    return taken;
  }
  void SetUp() override { holders.emplace(context, config.handshakes_per_s, now); }
  std::optional<CookieHolders> holders;
};

TEST_F(CookieHoldersTest, AnAddressAndANetworkHaveTheirShares) {
  const auto one = [](size_t) { return IpAddress::v4({192, 0, 2, 1}); };
  const auto network = [](size_t i) { return IpAddress::v4({192, 0, 2, static_cast<uint8_t>(i)}); };
  EXPECT_EQ(admitted(5'000, one), 2U) << "1/32 of 64";
  EXPECT_LE(admitted(5'000, network), 8U) << "1/8 of 64";
  const auto others = [](size_t i) { return IpAddress::v4({static_cast<uint8_t>(i), 1, 1, 1}); };
  EXPECT_GE(admitted(200, others), 50U) << "the rest is theirs";
  now = now + Millis{1'000};
  EXPECT_EQ(admitted(5'000, one), 2U);
}

TEST_F(CookieHoldersTest, AnIpv6NetworkHasItsShareWhateverAddressesItUses) {
  IpAddress base{Family::kIpv6, {0x20, 0x01, 0x0d, 0xb8, 0, 1}};
  const auto in_64 = [&](size_t i) {
    IpAddress address = base;
    address.bytes[15] = static_cast<uint8_t>(i);
    address.bytes[14] = static_cast<uint8_t>(i >> 8);
    return address;
  };
  const auto in_48 = [&](size_t i) {
    IpAddress address = base;
    address.bytes[6] = static_cast<uint8_t>(i);
    address.bytes[7] = static_cast<uint8_t>(i >> 8);
    return address;
  };
  EXPECT_EQ(admitted(5'000, in_64), 2U);
  EXPECT_LE(admitted(5'000, in_48), 8U);
}

TEST_F(CookieHoldersTest, AnInitiationCountsOnceForEachSource) {
  wire::Initiation message{};
  message.mac2[0] = 0x12;
  EXPECT_FALSE(holders->repeats(message));
  EXPECT_TRUE(holders->repeats(message));
  message.mac2[3] = 0x34;  // of another source
  EXPECT_FALSE(holders->repeats(message));
  EXPECT_TRUE(holders->repeats(message));
}

}  // namespace
}  // namespace jvpn
