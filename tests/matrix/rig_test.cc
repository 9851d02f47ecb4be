// The rig itself: a session over real datagrams, its knobs, and that its clock is everybody's.
#include "tests/matrix/rig.h"

#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

TEST(Rig, session_over_real_datagrams) {
  for (const Suite suite : {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305}) {
    RigOptions options;
    options.suite = suite;
    options.workers = suite == Suite::kAes256Gcm ? 2 : 1;
    Rig rig(options);
    rig.connect();
    rig.expect_on(0);
    EXPECT_TRUE(rig.serves());
    EXPECT_TRUE(rig.jump(1));
    rig.run_for(Millis{20});
    rig.expect_on(1);
    EXPECT_TRUE(rig.serves());
    EXPECT_EQ(rig.at_gateway().version, StateVersion{3});
  }
}

}  // namespace
}  // namespace jvpn::test
