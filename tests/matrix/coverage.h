// What the tests of this executable have covered, judged after the last of them.
#pragma once

#include <gtest/gtest.h>

namespace jvpn::test {

class Coverage final : public testing::Environment {
 public:
  /// Prints how often each reason code was emitted. When all tests were asked for, fails unless
  /// every row had a test that ran, and every reason was emitted.
  void TearDown() override;
};

}  // namespace jvpn::test
