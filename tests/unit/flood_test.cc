// What a flood is made of. JVPN_SEED replays a run.
#include "lab/attack/flood.h"

#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/wire.h"
#include "lab/link/jvp_frame.h"
#include "tests/support/must.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::lab {
namespace {

class FloodTest : public testing::Test {
 protected:
  MessageMac mac{test::must(MessageMac::create())};
  Aead aead{test::must(Aead::create())};
  std::mt19937_64 random{test::fresh_seed()};
  PublicKey gateway{7, 8, 9};
  ResponderMacKeys keys{ResponderMacKeys::derive(mac, gateway)};
  Endpoint source{IpAddress::v4({192, 0, 2, 66}), 40'000};
};

TEST_F(FloodTest, Names) {
  EXPECT_EQ(parse_flood("cookie"), FloodKind::kCookie);
  EXPECT_EQ(parse_flood("harmless"), FloodKind::kHarmless);
  EXPECT_FALSE(parse_flood("rain"));
}

TEST_F(FloodTest, AnInitiationHasARightMac1AndNoCookie) {
  const auto message = random_initiation(mac, gateway, nullptr, random);
  EXPECT_EQ(message.size(), sizeof(wire::Initiation));
  EXPECT_TRUE(check_mac1(mac, keys.mac1, message));
  EXPECT_FALSE(shows_cookie(message));
  EXPECT_NE(message, random_initiation(mac, gateway, nullptr, random));
}

TEST_F(FloodTest, ACookieIsTakenFromItsReplyAlone) {
  CookieSecrets secrets{};
  mac.expand(std::array<uint8_t, 16>{3}, secrets.current);
  secrets.label = keys.cookie_label.bytes();
  const auto question = random_initiation(mac, gateway, nullptr, random);
  wire::Initiation asked;
  std::memcpy(&asked, question.data(), sizeof asked);
  const wire::SealedReply reply =
      make_cookie_reply(aead, mac, secrets, source, {asked.sender, asked.mac1}, {});
  std::array<uint8_t, sizeof reply> bytes;
  std::memcpy(bytes.data(), &reply, sizeof reply);
  const auto cookie = cookie_in(aead, mac, gateway, question, bytes);
  ASSERT_TRUE(cookie);
  const auto other = random_initiation(mac, gateway, &*cookie, random);
  EXPECT_EQ(check_macs(mac, keys.mac1, secrets, source, other), MacVerdict::kVerified);
  EXPECT_FALSE(cookie_in(aead, mac, gateway, other, bytes));
  bytes.back() ^= 1;
  EXPECT_FALSE(cookie_in(aead, mac, gateway, question, bytes));
}

TEST_F(FloodTest, FramesAreSoundFromInventedSourcesToo) {
  const auto message = random_initiation(mac, gateway, nullptr, random);
  const Endpoint target{IpAddress::v4({192, 0, 2, 1}), 51'900};
  auto frame = frame_of({{2, 1}, {2, 2}, source, target}, message);
  for (int round = 0; round < 1'000; ++round) {
    const auto parsed = parse_jvp(frame, target.port);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->payload_bytes, message.size());
    const uint8_t* ip = frame.data() + kEthernetHeaderBytes;
    EXPECT_EQ(checksum_finish(checksum_add({ip, kIpv4HeaderBytes}, 0)), 0U);
    EXPECT_EQ(IpAddress::read(Family::kIpv4, ip + 16), target.address);
    spoof(frame, random);
    EXPECT_EQ(ip[12], 198);
    EXPECT_EQ(ip[13] & 0xFE, 18);
    EXPECT_GE(load_be16(ip + kIpv4HeaderBytes), 1'024U);
  }
}

}  // namespace
}  // namespace jvpn::lab
