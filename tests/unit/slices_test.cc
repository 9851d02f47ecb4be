// What concerns many sessions is carried out in slices, and none of them is left out.
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/admin/show_sessions.h"
#include "control/engine/engine.h"
#include "control/engine/timer_wheel.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

constexpr size_t kNodes = 71;  // more peers than two slices serve

/// All others are attached to node 1.
struct Crowd : World {
  Crowd() : World(1, nullptr, kNodes) {
    for (size_t i = 0; i < kNodes; ++i) {
      if (i != 1) dial(i, 1);
    }
    run_for(Millis{200});
  }
  size_t in_state(State state) const {
    size_t count = 0;
    for_each_session(engine_of_gateway(),
                     [&](const SessionView& view) { count += view.state == state ? 1 : 0; });
    return count;
  }
  const SessionEngine& engine_of_gateway() const { return const_cast<Crowd*>(this)->engine(1); }
  /// Advances at the same time until nothing is left to do; how often that was.
  size_t finish() {
    size_t turns = 0;
    for (; engine(1).next_deadline() == Millis{0}; ++turns) engine(1).advance(now);
    return turns;
  }
};

TEST(Slices, ALostInterfaceIsServedInSlices) {
  Crowd world;
  ASSERT_EQ(world.in_state(State::kAttached), kNodes - 1);
  world.engine(1).interface_lost(world.now, 0);
  const size_t first = world.in_state(State::kRecovering);
  EXPECT_GT(first, 0U);
  EXPECT_LT(first, kNodes - 1) << "the first slice only";
  EXPECT_LE(world.engine(1).next_deadline(), world.now) << "there is more to do";
  EXPECT_GE(world.finish(), 2U);
  EXPECT_EQ(world.in_state(State::kRecovering), kNodes - 1);
}

TEST(Slices, AllSessionsEndInSlices) {
  Crowd world;
  world.engine(1).shutdown(world.now);
  EXPECT_GT(world.in_state(State::kAttached), 0U) << "the first slice only";
  world.finish();
  EXPECT_TRUE(world.node(1).sessions().empty());
  EXPECT_EQ(world.engine(1).next_deadline() > world.now, true);
}

TEST(Slices, PagesShowEverySessionOnce) {
  Crowd world;
  std::set<uint32_t> seen;
  size_t pages = 0;
  std::optional<PeerId> from = PeerId{0};
  while (from) {
    ++pages;
    size_t on_page = 0;
    from = world.engine(1).visit_sessions(*from, [&](const SessionView& view) {
      EXPECT_TRUE(seen.insert(view.peer.value).second);
      ++on_page;
    });
    EXPECT_LT(on_page, kNodes - 1);
  }
  EXPECT_EQ(seen.size(), kNodes - 1);
  EXPECT_GE(pages, 3U);
}

TEST(Slices, ManyTimersAtOnceAreServedInSlices) {
  Crowd world;
  world.now = world.now + Millis{10'000};  // heartbeats of all are overdue, and their death
  const size_t before = world.node(1).events.size();
  world.engine(1).advance(world.now);
  const size_t slice = world.node(1).events.size() - before;
  EXPECT_GT(slice, 0U);
  EXPECT_LE(world.engine(1).next_deadline(), world.now);
  for (int i = 0; i < 10; ++i) world.engine(1).advance(world.now);
  EXPECT_EQ(world.in_state(State::kAttached), 0U);
}

/// Whatever one of them costs: the host says after each that this was long enough.
TEST(Slices, ASliceEndsWhenTheHostSaysSo) {
  Crowd world;
  world.node(1).hurried = true;
  world.engine(1).interface_lost(world.now, 0);
  for (size_t served = 1; served < kNodes; ++served) {
    ASSERT_EQ(world.in_state(State::kRecovering), served);
    ASSERT_EQ(world.engine(1).next_deadline(), Millis{0});
    world.engine(1).advance(world.now);
  }
}

TEST(Slices, TimersEndWhenTheHostSaysSo) {
  Crowd world;
  world.node(1).hurried = true;
  world.now = world.now + Millis{10'000};  // heartbeats of all are overdue, and their death
  size_t calls = 0;
  for (size_t left = kNodes - 1; left != 0; ++calls) {
    world.engine(1).advance(world.now);
    const size_t attached = world.in_state(State::kAttached);
    ASSERT_LE(left - attached, 1U);
    ASSERT_TRUE(attached == 0 || world.engine(1).next_deadline() <= world.now);
    left = attached;
  }
  EXPECT_GE(calls, kNodes - 1);
}

/// As a gateway that dials many peers does it, with a key exchange for each.
TEST(Slices, OneHandshakeIsBegunWhenTheHostSaysSo) {
  World world(1, nullptr, kNodes);
  for (size_t i = 0; i < kNodes; ++i) {
    if (i != 1) world.dial(1, i);
  }
  world.weather.loss = 1;
  world.run_for(Millis{20});  // nothing is answered
  world.node(1).hurried = true;
  world.now = world.now + Millis{2'000};
  const auto initiations = [&] { return count_sent(world, 1, wire::MessageType::kInitiation); };
  const size_t before = initiations();
  for (size_t calls = 1; world.engine(1).next_deadline() <= world.now; ++calls) {
    ASSERT_LE(calls, 2 * kNodes);
    world.engine(1).advance(world.now);
    ASSERT_LE(initiations() - before, calls);
  }
  EXPECT_EQ(initiations() - before, kNodes - 1) << "all are repeated";
}

TEST(Slices, APageEndsWhenTheHostSaysSo) {
  Crowd world;
  world.node(1).hurried = true;
  size_t pages = 0;
  size_t shown = 0;
  for (std::optional<PeerId> from{PeerId{0}}; from; ++pages) {
    const size_t before = shown;
    from = world.engine(1).visit_sessions(*from, [&](const SessionView&) { ++shown; });
    EXPECT_LE(shown - before, 1U);
  }
  EXPECT_EQ(shown, kNodes - 1);
  EXPECT_LE(pages, kNodes);
}

/// A wheel that moves a few timers at a time tells the same ones as one that moves all.
TEST(Slices, AWheelThatIsHeldUpLosesNoTimer) {
  constexpr uint32_t kTimers = 3'000;
  Random random(7);
  engine::TimerWheel whole(kTimers, Millis{0});
  engine::TimerWheel slow(kTimers, Millis{0});
  for (uint32_t timer = 0; timer < kTimers; ++timer) {
    const Millis at{1 + random.below(20'000)};
    whole.arm(timer, at);
    slow.arm(timer, at);
  }
  for (Millis now{0}; now < Millis{21'000}; now = now + Millis{997}) {
    std::vector<uint32_t> expected;
    std::vector<uint32_t> found;
    whole.expire(now);
    while (const auto timer = whole.pop()) expected.push_back(*timer);
    while (slow.next() <= now) {
      slow.expire(now, 1 + random.below(10));
      while (const auto timer = slow.pop()) found.push_back(*timer);
    }
    EXPECT_EQ(found, expected) << now.value;
  }
}

TEST(Slices, EndedSessionsHavePagesToo) {
  Crowd world;
  world.engine(1).shutdown(world.now);
  world.finish();
  std::set<std::string> seen;
  nlohmann::json request = nlohmann::json::object();
  for (size_t pages = 0; pages < kNodes; ++pages) {
    nlohmann::json page;
    const auto name = [](PeerId) { return std::string("peer"); };
    add_page(page, request, world.engine(1), world.node(1), name, world.now);
    if (page.contains("terminated")) {
      EXPECT_LE(page["terminated"].size(), 16U);
      for (const auto& each : page["terminated"])
        EXPECT_TRUE(seen.insert(each["session_id"].get<std::string>()).second);
    }
    if (!page.contains("next")) break;
    request["from"] = page["next"];
  }
  EXPECT_EQ(seen.size(), kNodes - 1);
}

}  // namespace
}  // namespace jvpn
