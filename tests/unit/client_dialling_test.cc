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

}  // namespace
}  // namespace jvpn::client::control
