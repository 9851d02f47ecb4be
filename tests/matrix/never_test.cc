// Matrix section 7: what must never happen, looked for after every step of long runs.
#include <set>

#include "tests/matrix/forger.h"
#include "tests/matrix/storm.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

RigOptions restless() {
  RigOptions options;
  options.policy.switching.switch_cooldown = Millis{0};
  options.policy.switching.max_switches_per_min = 64;
  options.policy.volatility.max_flaps_per_min = 31;
  return options;
}

/// The latest STATE_CHANGE of a session; nullptr when there was none.
const ToldEvent* latest_change(const EventBook& events, const SessionId& id) {
  const std::string session = to_string(id);
  const auto& lines = events.lines();
  const auto found = std::find_if(lines.rbegin(), lines.rend(), [&](const ToldEvent& line) {
    return line.event == to_string(EventKind::kStateChange) && line.session == session;
  });
  return found == lines.rend() ? nullptr : &*found;
}

/// The same with whatever else may be switched on, by the seed.
RigOptions restless_and_varied(uint64_t seed) {
  RigOptions options = restless();
  options.workers = 1 + seed % 2;
  options.suite = seed / 2 % 2 == 0 ? Suite::kAes128Gcm : Suite::kChaCha20Poly1305;
  if (seed / 4 % 2 == 0) options.rekey_after = Millis{7'000};
  if (seed / 8 % 2 == 0) options.policy.transport.candidate_validation_ttl = Millis{4'000};
  if (seed / 16 % 2 == 0) options.policy.session.idle_max = Millis{4'000};
  if (seed / 32 % 2 == 0) options.policy.switching.failback_when_stable = Millis{3'000};
  return options;
}

void run_storm(Rig& rig, int rounds) {
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(run_seed()));
  Storm storm(rig, run_seed());
  rig.connect();
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) storm.blow();
  storm.calm();
}

TEST(Never, silent_reset) {
  Rig rig(restless_and_varied(run_seed()));
  SessionId before;
  size_t resets = 0;
  rig.after_step = [&] {
    const Snapshot now = rig.at_gateway();
    if (now.id == before || now.id == SessionId{}) return;
    if (before != SessionId{}) {
      const ToldEvent* end = latest_change(rig.gateway().events(), before);
      ASSERT_NE(end, nullptr);
      EXPECT_EQ(end->to, "TERMINATED");
      EXPECT_NE(end->reason, "");
      ++resets;
    }
    before = now.id;
  };
  run_storm(rig, 20);
  rig.after_step = nullptr;
  rig.cut_all();
  rig.run_for(Millis{20'000});
  EXPECT_NE(latest_change(rig.gateway().events(), before), nullptr);
  RecordProperty("resets", static_cast<int>(resets));
}

/// What carries data changes as often as bindings are committed, and no lane is seen on two paths.
TEST(Never, dual_active) {
  Rig rig(restless());
  rig.connect();
  std::vector<size_t> carrying;
  std::map<std::pair<uint32_t, uint16_t>, size_t> path_of;
  rig.filter = [&](const Datagram& each) {
    if (!each.is_data()) return true;
    const wire::TransportHeader header = each.header();
    const auto lane = std::pair(header.receiver, wire::lane_of(header.counter).value);
    EXPECT_EQ(path_of.emplace(lane, each.path).first->second, each.path);
    if (!each.up && (carrying.empty() || carrying.back() != each.path)) {
      carrying.push_back(each.path);
    }
    return true;
  };
  for (size_t jumps = 1; jumps <= 12; ++jumps) {
    rig.run_with_data(Millis{1'500}, Millis{2});
    rig.wish_jump(jumps % kPaths);
    rig.run_with_data(Millis{100}, Millis{2});
    EXPECT_EQ(rig.at_gateway().switches, jumps);
    EXPECT_EQ(carrying.size(), jumps + 1);
  }
  rig.filter = nullptr;
  const Still still(rig);
  Forger forger(rig);
  forger.nonce = 100;
  wire::ReattachRequest second = forger.request();
  second.retire_active = 0;
  forger.send(forger.spare(), 1, second);
  EXPECT_EQ(
      rig.gateway().events().count(EventKind::kReattach, Reason::kPolicyDeny, Detail::kDualActive),
      1U);
  still.expect();
}

TEST(Never, stale_version_accepted) {
  Rig rig(restless());
  rig.connect();
  std::vector<uint64_t> past;
  for (size_t jumps = 1; jumps <= 8; ++jumps) {
    past.push_back(rig.at_gateway().binding.value);
    ASSERT_TRUE(rig.jump(jumps % kPaths));
    rig.run_for(Millis{1'200});
  }
  const Still still(rig);
  Forger forger(rig);
  forger.nonce = 100;
  for (const uint64_t version : past) {
    wire::ReattachRequest request = forger.request();
    request.binding_version = version;
    forger.send(forger.spare(), 1, request);
    rig.run_for(Millis{150});
  }
  EXPECT_EQ(rig.gateway().events().count(EventKind::kReattach, Reason::kFreshnessInvalid,
                                         Detail::kStaleVersion),
            past.size());
  still.expect();
}

TEST(Never, reused_nonce_accepted) {
  Rig rig(restless());
  rig.connect();
  for (size_t jumps = 1; jumps <= 5; ++jumps) {
    ASSERT_TRUE(rig.jump(jumps % kPaths));
    rig.run_for(Millis{1'500});
  }
  const Still still(rig);
  const size_t requests = rig.count(ControlType::kReattachRequest);
  Forger forger(rig);
  for (size_t nonce = 0; nonce < requests; ++nonce) {
    rig.run_for(Millis{150});
    forger.nonce = nonce;
    forger.send(forger.spare(), 1, forger.request());
  }
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.count(EventKind::kReattach, Reason::kReplayDetected), requests);
  EXPECT_EQ(rig.count(ControlType::kReattachChallenge), requests);
  still.expect();
}

TEST(Never, past_ttl) {
  RigOptions options = restless();
  options.policy.session.max_lifetime = Millis{20'000};
  Rig rig(options);
  rig.connect();
  const Millis born = rig.now();
  rig.run_with_data(Millis{19'800}, Millis{20});
  const SessionId ended = rig.at_gateway().id;
  ASSERT_NE(ended, SessionId{});
  Forger forger(rig);
  std::vector<Datagram> late{forger.seal(forger.spare(), 1, bytes_of(forger.request()))};
  rig.filter = [&](const Datagram& each) {
    if (each.up && each.is_data()) late.push_back(each);
    return !each.up;
  };
  rig.client().send_echo();
  const uint64_t echoes = rig.client().echoes();
  // The gateway was busy elsewhere: the first thing it sees after the end is what came late.
  for (const Datagram& each : late) rig.inject(each);
  rig.step(Millis{5'000});
  EXPECT_GT(rig.now() - born, options.policy.session.max_lifetime);
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated);
  EXPECT_EQ(rig.count(ControlType::kReattachChallenge), 0U);
  EXPECT_EQ(latest_change(rig.gateway().events(), ended)->reason, "TTL_SESSION_EXPIRED");
  for (const Datagram& each : late) rig.inject(each);
  rig.run_for(Millis{50});
  EXPECT_EQ(rig.at_gateway().state, State::kTerminated) << "absorbing";
  EXPECT_LE(rig.client().echoes(), echoes + 1);
  EXPECT_GE(rig.gateway().drops(Drop::kUnknownIndex), late.size());
}

TEST(Never, implicit_downgrade) {
  Rig rig(restless_and_varied(run_seed() / 64));
  rig.after_step = [&] {
    const Snapshot now = rig.at_gateway();
    if (now.id == SessionId{}) return;
    const ToldEvent* told = latest_change(rig.gateway().events(), now.id);
    ASSERT_NE(told, nullptr);
    EXPECT_EQ(told->to, to_string(now.state));
    EXPECT_EQ(told->version, now.version.value);
  };
  run_storm(rig, 20);
}

}  // namespace
}  // namespace jvpn::test
