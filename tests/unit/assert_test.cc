// A failed assertion ends the program and says where; one that holds costs and changes nothing.
#include "common/assert.h"

#include <gtest/gtest.h>

namespace jvpn {
namespace {

int guarded(int value) {
  JVPN_ASSERT(value > 0, "callers count from 1");
  return value;
}

TEST(Assert, lets_pass_what_holds) {
  EXPECT_EQ(guarded(1), 1);
}

TEST(AssertDeathTest, names_the_place_the_condition_and_the_reason) {
  EXPECT_DEATH(guarded(0),
               "assert_test\\.cc:[0-9]+: assertion failed: value > 0: callers count from 1");
}

TEST(Assert, evaluates_its_condition_once) {
  int evaluated = 0;
  JVPN_ASSERT(++evaluated == 1, "first evaluation");
  EXPECT_EQ(evaluated, 1);
}

#ifdef JVPN_DEBUG_ASSERTIONS
TEST(DebugAssertDeathTest, is_on_in_debug_and_sanitizer_builds) {
  EXPECT_DEATH(JVPN_DEBUG_ASSERT(1 == 2, "sums"), "assertion failed: 1 == 2: sums");
}
#else
TEST(DebugAssert, evaluates_nothing_in_other_builds) {
  int evaluated = 0;
  JVPN_DEBUG_ASSERT(++evaluated == 2, "never reached");
  EXPECT_EQ(evaluated, 0);
}
#endif

}  // namespace
}  // namespace jvpn
