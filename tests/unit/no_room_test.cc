// The host has no memory for what a session wants to install, at any one point or from there on.
// That is refused before anybody counts on it: no session is attached without its records.
#include <gtest/gtest.h>

#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

constexpr uint64_t kPoints = 40;  // reservations of one end in the life below, and some

bool is_attached(const SessionView& view) {
  return view.state == State::kAttached || view.state == State::kVolatile;
}

/// Handshake, new keys, a planned jump, a jump away from a dead path; node `short_of` lacks memory.
class ShortWorld : public World {
 public:
  ShortWorld(size_t short_of, const std::function<bool(uint64_t)>& fails)
      : World(1, [](size_t, EngineConfig& config) { config.rekey_after = Millis{2'000}; }),
        short_of_(short_of) {
    node(short_of).fails = fails;
    after_each = [this] { expect_records(); };
  }

  void live() {
    dial(0, 1);
    run_for(Millis{1'500});
    engine(0).set_candidates(now, kPeer, std::vector{path(0), path(1), path(2)});
    run_with_data(Millis{4'000}, 10);
    if (!node(0).sessions().empty()) engine(0).jump(now, kPeer, path(1));
    run_with_data(Millis{4'000}, 10);
    cut.insert(1);
    if (!node(0).sessions().empty()) engine(0).path_lost(now, kPeer, path(1));
    run_with_data(Millis{10'000}, 10);
  }

  /// Whoever calls itself attached can send and receive.
  void expect_records() {
    for (size_t i = 0; i < 2; ++i) {
      for (const SessionView& view : node(i).sessions()) {
        if (!is_attached(view)) continue;
        EXPECT_TRUE(node(i).tx.contains(view.peer.value)) << "attached, and can't send";
        EXPECT_FALSE(node(i).rx.empty()) << "attached, and can't receive";
      }
    }
  }
  /// Each refusal has been counted by its name.
  void expect_named() {
    const test::Node& node = this->node(short_of_);
    EXPECT_EQ(engine(short_of_).counters().no_room, node.refused_room);
  }
  void expect_attached() {
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(is_attached(node(i).session()));
    expect_openable(0, 1);
    expect_openable(1, 0);
  }

 private:
  static Path path(size_t network) { return path_between(0, 1, network); }
  size_t short_of_;
};

struct NoRoom : testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(EndShortOfMemory, NoRoom, testing::Values(0, 1));

TEST_P(NoRoom, AtOnePointIsRefusedAndRecovered) {
  uint64_t refused = 0;
  for (uint64_t point = 0; point < kPoints; ++point) {
    SCOPED_TRACE("reservation " + std::to_string(point));
    ShortWorld world(GetParam(), [=](uint64_t n) { return n == point; });
    world.live();
    world.expect_named();
    world.expect_attached();
    refused += world.node(GetParam()).refused_room;
  }
  EXPECT_GE(refused, 8U) << "handshake, rekeys and jumps are points of the table";
}

TEST_P(NoRoom, FromSomePointOnAttachesNobodyWithoutRecords) {
  for (uint64_t point = 0; point < kPoints; point += 1) {
    SCOPED_TRACE("reservation " + std::to_string(point));
    ShortWorld world(GetParam(), [=](uint64_t n) { return n >= point; });
    world.live();
    world.expect_named();
    EXPECT_GT(world.node(GetParam()).refused_room, 0U);
  }
}

TEST(NoRoomIs, AHandshakeIsRefusedByName) {
  ShortWorld world(1, [](uint64_t) { return true; });
  world.dial(0, 1);
  world.run_for(Millis{3'000});
  EXPECT_TRUE(world.node(0).sessions().empty());
  EXPECT_TRUE(world.node(1).sessions().empty());
  const auto events = world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0].detail, Detail::kNoRoom);
}

TEST(NoRoomIs, AJumpIsDeniedByNameAndTheOldBindingGoesOn) {
  ShortWorld world(1, nullptr);
  world.connect();
  world.engine(0).set_candidates(world.now, kPeer,
                                 std::vector{path_between(0, 1, 0), path_between(0, 1, 1)});
  world.run_for(Millis{500});
  const BindingVersion before = world.node(1).session().binding_version;
  world.node(1).fails = [](uint64_t) { return true; };
  world.engine(0).jump(world.now, kPeer, path_between(0, 1, 1));
  world.run_for(Millis{500});
  EXPECT_EQ(world.node(1).session().binding_version, before);
  EXPECT_EQ(world.node(0).session().path.interface, 0U);
  const auto denied = world.node(0).events_of(EventKind::kReattach);
  ASSERT_FALSE(denied.empty());
  EXPECT_EQ(denied[0].reason, Reason::kPolicyDeny);
  EXPECT_EQ(denied[0].detail, Detail::kNoRoom);
  world.expect_attached();
}

TEST(NoRoomIs, AnInstallThatFailsAllTheSameEndsTheSession) {
  ShortWorld world(1, nullptr);
  world.connect();
  world.engine(1).install_refused(world.now, kPeer);
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.node(1).changes().back(),
            "ATTACHED>TERMINATED FATAL_PROTOCOL_ERROR:corrupt_record");
}

}  // namespace
}  // namespace jvpn
