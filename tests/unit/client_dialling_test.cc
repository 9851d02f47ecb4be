// What the client tells its operator when dialling brings no session.
#include <gtest/gtest.h>

#include "tools/client/control/session_keeper.h"

namespace jvpn::client::control {
namespace {

TEST(ClientDialling, TellsWhatCameInThePlaceOfASession) {
  engine::DialView dialling;
  dialling.path.remote = *Endpoint::parse("192.0.2.1:51900");
  const auto says = [&](const char* text) {
    return why_no_session(dialling).value_or("").find(text) != std::string::npos;
  };
  dialling.attempts = 5;
  EXPECT_EQ(why_no_session(dialling), std::nullopt) << "the fifth may yet be answered";
  dialling.attempts = 6;
  EXPECT_TRUE(says("no answer from 192.0.2.1:51900 after 5 attempts"));
  dialling.cookies = 4;
  EXPECT_TRUE(says("4 cookie replies and 0 retries")) << *why_no_session(dialling);
  EXPECT_TRUE(says("limits.handshakes_per_s"));
  EXPECT_FALSE(says("no answer"));
  dialling.retries = 1;
  EXPECT_TRUE(says("4 cookie replies and 1 retries"));
  dialling.attempts = 1;
  dialling.unopened = 1;
  EXPECT_TRUE(says("preshared key differs"));
}

Path path_of(uint16_t underlay, const char* remote) {
  return {underlay, {}, *Endpoint::parse(remote)};
}

TEST(ClientDialling, APathByTcpComesAfterEachRoundByUdp) {
  const std::vector<Endpoint> endpoints{*Endpoint::parse("192.0.2.1:51900")};
  underlays::Dialer dialer(2, endpoints, Millis{2'000}, [&](size_t n, const Endpoint&) {
    return Result<Path>(path_of(static_cast<uint16_t>(n), "192.0.2.1:51900"));
  });
  EXPECT_FALSE(dialer.exhausted(Millis{0})) << "nothing was tried yet";
  EXPECT_EQ(dialer.next(Millis{0})->interface, 0);
  EXPECT_FALSE(dialer.exhausted(Millis{2'000}));
  EXPECT_EQ(dialer.next(Millis{2'000})->interface, 1);
  EXPECT_FALSE(dialer.exhausted(Millis{3'999})) << "the last has its time, too";
  EXPECT_TRUE(dialer.exhausted(Millis{4'000}));

  const Path tcp = path_of(2, "192.0.2.9:443");
  EXPECT_TRUE(dialer.set_fallback(tcp));
  EXPECT_FALSE(dialer.set_fallback(tcp)) << "it is known";
  std::vector<uint16_t> tried;
  for (uint64_t n = 0; n < 7; ++n)
    tried.push_back(dialer.next(Millis{4'000 + 2'000 * n})->interface);
  EXPECT_EQ(tried, (std::vector<uint16_t>{2, 0, 1, 2, 0, 1, 2}));
  EXPECT_FALSE(dialer.set_fallback(std::nullopt));
  EXPECT_EQ(dialer.next(Millis{30'000})->interface, 0);

  dialer.lost(Millis{40'000});
  EXPECT_FALSE(dialer.exhausted(Millis{90'000})) << "the next session begins with UDP";
}

TEST(ClientDialling, TcpHasItsTurnThoughTheLastUnderlayHasNoPath) {
  underlays::Dialer dialer(2, {*Endpoint::parse("192.0.2.1:51900")}, Millis{2'000},
                           [](size_t n, const Endpoint&) {
                             if (n == 1) return Result<Path>(Error{"no route"});
                             return Result<Path>(path_of(0, "192.0.2.1:51900"));
                           });
  dialer.set_fallback(path_of(2, "192.0.2.9:443"));
  std::vector<uint16_t> tried;
  for (uint64_t n = 0; n < 6; ++n) tried.push_back(dialer.next(Millis{2'000 * n})->interface);
  EXPECT_EQ(tried, (std::vector<uint16_t>{2, 0, 0, 2, 0, 2}));
}

TEST(ClientDialling, WhereUdpReachesNothingTcpIsNext) {
  underlays::Dialer dialer(2, {*Endpoint::parse("192.0.2.1:51900")}, Millis{2'000},
                           [](size_t, const Endpoint&) { return Result<Path>(Error{"no route"}); });
  EXPECT_FALSE(dialer.next(Millis{0}));
  EXPECT_TRUE(dialer.exhausted(Millis{1'000}));
}

}  // namespace
}  // namespace jvpn::client::control
