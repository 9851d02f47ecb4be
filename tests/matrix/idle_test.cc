// An honest network and nobody who attacks: nothing that arrives is dropped.
#include "common/drop.h"
#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {
namespace {

/// By name, those that aren't 0.
template <typename Count>
std::string drops_of(Count count) {
  std::string text;
  for (size_t i = 0; i < kDropCount; ++i) {
    const uint64_t dropped = count(static_cast<Drop>(i));
    if (dropped != 0) text += std::string(kDropInfo[i].name) + " " + std::to_string(dropped) + "; ";
  }
  return text;
}

uint64_t rekeys_of(const SessionEngine& engine) {
  uint64_t rekeys = 0;
  for_each_session(engine, [&](const SessionView& view) { rekeys += view.rekeys; });
  return rekeys;
}

// Probes and rekeys fall due together, and the standby paths are slower than the bound one: what
// they carry arrives when its keys were replaced.
struct IdleRekeys : testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Idle, IdleRekeys, testing::Values(4'990, 5'000, 5'010, 5'020, 5'040));

TEST_P(IdleRekeys, TwoHundredDropNothing) {
  RigOptions options;
  options.policy.transport.candidate_validation_ttl = Millis{10'000};
  options.rekey_after = Millis{GetParam()};
  Rig rig(options);
  rig.wire(1).delay = Millis{20};
  rig.wire(2).delay = Millis{45};
  rig.connect();
  constexpr uint64_t kRekeys = rounds(200);
  ASSERT_TRUE(rig.run_until([&] { return rekeys_of(rig.client().engine()) >= kRekeys; },
                            Millis{1'100'000}, Millis{5}));
  rig.run_for(Millis{1'000}, Millis{5});
  EXPECT_GE(rig.count(wire::ControlType::kPathResponse), kRekeys * 3 / 2) << "paths were kept warm";
  EXPECT_EQ(drops_of([&](Drop drop) { return rig.client().counters().dropped(drop); }), "");
  EXPECT_EQ(drops_of([&](Drop drop) { return rig.gateway().drops(drop); }), "");
}

}  // namespace
}  // namespace jvpn::test
