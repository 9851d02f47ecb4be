// The figures of `jvpn-perf handshake` from its slices.
#include <vector>

#include <gtest/gtest.h>

#include "perf/handshake/handshake.h"
#include "tests/support/rooms.h"

namespace jvpn::perf {
namespace {

TEST(HandshakeFigures, AMachineThatSlowsDownLeavesTheRatios) {
  const HandshakeSlice fast{200e-6, 220e-6, 40e-6, 42e-6, 14e-6};
  const HandshakeSlice slow{400e-6, 440e-6, 80e-6, 84e-6, 28e-6};
  const HandshakeRun run = figures_of(std::vector{fast, slow, fast});
  EXPECT_NEAR(run.responder_per_s, 5'000, 1e-6);
  EXPECT_NEAR(run.raw_x25519_per_s, 25'000, 1e-6);
  EXPECT_NEAR(run.responder_ratio, 0.8, 1e-9);  // 4 × 40 of 200
  EXPECT_NEAR(run.both_sides_per_s, 1e6 / 420, 1e-6);
  EXPECT_NEAR(run.both_sides_ratio, 320.0 / 420, 1e-9);
  EXPECT_NEAR(run.x25519_us, 168, 1e-6);
  EXPECT_NEAR(run.ephemeral_us, 14, 1e-6);
  EXPECT_NEAR(run.rest_us, 18, 1e-6);
}

TEST(HandshakeFigures, NothingMeasured) {
  const HandshakeRun run = figures_of({});
  EXPECT_EQ(run.responder_per_s, 0);
  EXPECT_EQ(run.responder_ratio, 0);
}

}  // namespace
}  // namespace jvpn::perf
