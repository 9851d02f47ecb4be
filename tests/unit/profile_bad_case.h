// A profile with one thing wrong, and all that must be said of it.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/profile.h"
#include "tests/support/rooms.h"
#include "tests/unit/profile_texts.h"

namespace jvpn::test {

enum class Base { kGateway, kClient };
using enum Base;

struct BadCase {
  const char* name;
  Base base;
  std::string_view from;  ///< in the good profile
  std::string_view to;
  std::string_view findings;  ///< of file "p", one a line
};

template <typename Profile>
std::string findings_of(const Result<Profile>& result) {
  return result ? "none" : result.error().message;
}

inline void check(const BadCase& c) {
  const std::string_view good = c.base == kGateway ? kGoodGateway : kGoodClient;
  const std::string bad = replaced(good, c.from, c.to);
  ASSERT_NE(bad, good) << c.name << ": nothing was replaced";
  EXPECT_EQ(c.base == kGateway ? findings_of(parse_gateway_profile(bad, "p"))
                               : findings_of(parse_client_profile(bad, "p")),
            c.findings)
      << c.name;
}

}  // namespace jvpn::test
