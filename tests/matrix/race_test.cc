// Two requests of one client race for one binding, cold (their responses) or warm (the requests
// themselves), in any order, doubled or not: exactly one commits.
#include "tests/matrix/forger.h"
#include "tests/matrix/storm.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

constexpr int kPairs = rounds(500);  // of each kind

struct Race {
  const char* name;
  Millis validity;     ///< of a warm candidate; 0: all are cold
  ControlType runner;  ///< what is held back until both are there
  uint16_t workers;
};

constexpr Race kRaces[] = {{"cold", Millis{0}, ControlType::kReattachResponse, 1},
                           {"warm", Millis{2'000}, ControlType::kReattachRequest, 2}};

/// One pair: over two paths other than the bound one. Returns the commits that came of it.
uint64_t race_once(Rig& rig, const Race& race, std::mt19937_64& random) {
  std::vector<size_t> others;
  for (size_t path = 0; path < kPaths; ++path) {
    if (rig.at_client().path != to_string(rig.path(path))) others.push_back(path);
  }
  std::vector<Datagram> runners;
  rig.filter = [&](const Datagram& each) {
    const bool held = each.up && each.control == race.runner;
    if (held) runners.push_back(each);
    return !held;
  };
  rig.wish_jump(others[0]);
  rig.run_until([&] { return !runners.empty(); }, Millis{100});
  rig.client().engine().path_lost(rig.client_now(), kGateway, rig.path(others[0]));
  rig.wish_jump(others[1]);
  const size_t first = runners.size();
  rig.run_until([&] { return runners.size() > first; }, Millis{100});
  EXPECT_GE(runners.size(), 2U);
  rig.filter = nullptr;
  const uint64_t before = rig.gateway().engine().counters().reattach_commits;
  std::ranges::shuffle(runners, random);
  for (const Datagram& each : runners) {
    for (uint64_t copies = 1 + random() % 2; copies > 0; --copies) rig.inject(each);
  }
  rig.run_for(Millis{12});
  return rig.gateway().engine().counters().reattach_commits - before;
}

TEST(Race, exactly_one_of_two_commits) {
  for (const Race& race : kRaces) {
    SCOPED_TRACE(std::string(race.name) + ", JVPN_SEED=" + std::to_string(run_seed()));
    RigOptions options;
    options.policy.switching.switch_cooldown = Millis{0};
    options.policy.switching.max_switches_per_min = 64;
    options.policy.transport.candidate_validation_ttl = race.validity;
    options.workers = race.workers;
    Rig rig(options);
    for (size_t path = 0; path < kPaths; ++path) rig.wire(path).delay = Millis{2};
    rig.connect();
    const SessionId id = rig.at_gateway().id;
    std::mt19937_64 random(run_seed());
    for (int pair = 1; pair <= kPairs && !testing::Test::HasFailure(); ++pair) {
      rig.set_candidates(0, {0, 1, 2});
      rig.run_for(Millis{1'100}, Millis{50});
      const Snapshot before = rig.at_gateway();
      EXPECT_EQ(race_once(rig, race, random), 1U) << pair;
      EXPECT_EQ(rig.at_gateway().version.value, before.version.value + 2) << pair;
      EXPECT_EQ(rig.at_gateway().binding, rig.at_client().binding) << pair;
      EXPECT_EQ(rig.at_gateway().id, id);
      EXPECT_TRUE(rig.serves()) << pair;
      rig.sent.clear();
    }
  }
}

}  // namespace
}  // namespace jvpn::test
