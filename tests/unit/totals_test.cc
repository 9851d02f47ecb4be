// The totals that an engine keeps are what counting would give, whatever happens to its sessions.
#include <array>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/admin/show_sessions.h"
#include "control/session/reporter.h"
#include "tests/support/engine_storm.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using namespace test;

using Counts = decltype(SessionTotals::sessions);

/// Of the sessions that are shown. Handshakes that would go on with one aren't.
Counts counted(const Node& node) {
  Counts counts{};
  for (const SessionView& view : node.sessions()) ++counts[static_cast<size_t>(view.state)];
  return counts;
}

/// By what the events said.
struct Told {
  decltype(SessionTotals::jumps) jumps{};
  decltype(SessionTotals::ended) ended{};

  void add(const Node& node) {
    for (const Event& event : node.events) {
      if (event.kind == EventKind::kTransportSwitch && event.reason == Reason::kTransportSwitchOk)
        for (size_t cause = 0; cause < jumps.size(); ++cause)
          jumps[cause] +=
              event.cause ==
                      std::string_view(session::to_string(static_cast<wire::ReattachCause>(cause)))
                  ? 1
                  : 0;
      const bool ends = event.kind == EventKind::kStateChange && event.to == State::kTerminated;
      if (ends && event.from != State::kBirth) ++ended[static_cast<size_t>(event.reason)];
    }
  }
};

TEST(Totals, AreWhatCountingGives) {
  uint64_t jumps = 0;
  uint64_t ends = 0;
  for (int life = 0; life < rounds(60); ++life) {
    const uint64_t seed = run_seed() + static_cast<uint64_t>(life);
    Storm storm(seed);
    std::array<Told, 2> told;
    for (int step = 0; step < 60; ++step) {
      storm.go_on();
      for (const size_t i : {size_t{0}, size_t{1}}) {
        const SessionTotals& totals = storm.world.engine(i).counters().totals;
        Counts shown = counted(storm.world.node(i));
        const auto birth = static_cast<size_t>(State::kBirth);
        ASSERT_GE(totals.sessions[birth], shown[birth]) << seed;
        ASSERT_LE(totals.sessions[birth], 2U) << "one session and one handshake at most; " << seed;
        shown[birth] = totals.sessions[birth];
        ASSERT_EQ(totals.sessions, shown) << "node " << i << ", step " << step << ", seed " << seed;
        told[i].add(storm.world.node(i));
        storm.world.node(i).events.clear();
        ASSERT_EQ(totals.jumps, told[i].jumps) << seed;
        ASSERT_EQ(totals.ended, told[i].ended) << seed;
      }
    }
    for (const Told& each : told) {
      for (const uint64_t count : each.jumps) jumps += count;
      for (const uint64_t count : each.ended) ends += count;
    }
  }
  EXPECT_GT(jumps, 100U) << "the storms have shown something";
  EXPECT_GT(ends, 10U);
}

TEST(Totals, AreShownWithoutLookingAtASession) {
  World world(1, nullptr, 12);
  for (size_t i = 1; i < 12; ++i) world.dial(i, 0);
  world.run_for(Millis{200});
  world.engine(0).terminate(world.now, World::peer(0, 3), Detail::kOperator);
  world.engine(0).interface_lost(world.now, 0);
  const nlohmann::json shown = admin::show_totals(world.engine(0).counters().totals, 11);
  EXPECT_EQ(shown["peers"], 11);
  EXPECT_EQ(shown["sessions"]["RECOVERING"], 10);
  EXPECT_EQ(shown["sessions"]["ATTACHED"], 0);
  EXPECT_EQ(shown["ended"]["POLICY_TERMINATION"], 1);
  EXPECT_EQ(shown["ended"]["TTL_SESSION_EXPIRED"], 0) << "each that there can be, from the start";
  EXPECT_FALSE(shown["ended"].contains("HANDSHAKE_FAIL")) << "that never was a session";
  EXPECT_EQ(shown["jumps"]["dead"], 0);
}

}  // namespace
}  // namespace jvpn
