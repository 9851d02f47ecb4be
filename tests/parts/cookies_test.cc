#include "control/protocol/cookies.h"

#include "common/limits.h"
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

}  // namespace
}  // namespace jvpn
