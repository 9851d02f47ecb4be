// `jvpn audit` over files, nodes and any text; and over the engine's own logs, which must always be
// sound.
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/jumper.h"
#include "tests/support/rooms.h"
#include "tests/unit/audit_rig.h"

namespace jvpn {
namespace {

using test::audited;
using test::kBroken;
using test::kOk;
using test::Log;
using test::LogLines;
using test::text_of;

TEST(Audit, RotatedPartsComeInAnyOrder) {
  Log log;
  log.birth().at(9).jump(2).at(5'000).jump(4).at(9'000).terminate(State::kAttached, 6);
  const LogLines older(log.lines.begin(), log.lines.begin() + 5);
  const LogLines newer(log.lines.begin() + 5, log.lines.end());
  for (const auto& files : {std::vector{older, newer}, std::vector{newer, older}}) {
    const AuditReport report = audited(files);
    EXPECT_EQ(report.verdict(), kOk) << text_of(report);
    EXPECT_EQ(report.sessions.size(), 1U);
    EXPECT_EQ(report.events, log.lines.size());
  }
}

TEST(Audit, OtherAndRepeatedLinesAreCounted) {
  Log log;
  log.birth().at(9).terminate(State::kAttached, 2);
  LogLines lines = log.lines;
  lines.insert(lines.begin(), {"EAL: Detected CPU lcores: 2", "", R"({"event":"FAULT","ts_ms":1})",
                               R"({"ts_ms":1,"seq":1,"event":"STATE_CHANGE","node_id":"x"})"});
  lines.push_back(log.lines[1].substr(0, 40));
  const AuditReport report = audited({lines, log.lines});
  EXPECT_EQ(report.verdict(), kOk) << text_of(report);
  EXPECT_EQ(report.skipped, 4U);
  EXPECT_EQ(report.repeated, 2U);
  EXPECT_EQ(text_of(report),
            "audit ok: 2 events of 1 session at 1 node, 2 repeated lines, 4 other lines skipped\n");
}

TEST(Audit, TwoEndsOfASessionAreNoTwoOwners) {
  Log gateway;
  gateway.birth().at(9).terminate(State::kAttached, 2);
  Log client("laptop", SessionEnd::kInitiator);
  client.birth().at(9).terminate(State::kAttached, 2);
  const AuditReport report = audited({gateway.lines, client.lines});
  EXPECT_EQ(report.verdict(), kOk) << text_of(report);
  EXPECT_EQ(report.nodes, (LogLines{"gw1", "laptop"}));
  EXPECT_EQ(report.sessions.size(), 1U);
}

TEST(Audit, TwoGatewaysMayNotCarryOneSessionAtOnce) {
  Log one;
  one.birth().at(500).terminate(State::kAttached, 2);
  Log other("gw2");
  other.at(400).birth().at(900).terminate(State::kAttached, 2);
  const AuditReport report = audited({one.lines, other.lines});
  EXPECT_EQ(report.verdict(), kBroken);
  EXPECT_EQ(text_of(report),
            "b:1: broken: session 01000000 at gw2: dual active: gw1 carries it at the same time\n"
            "audit broken: 4 events of 1 session at 2 nodes, 1 finding\n");

  Log after("gw2");
  after.at(500).birth().at(900).terminate(State::kAttached, 2);
  EXPECT_EQ(audited({one.lines, after.lines}).verdict(), kOk);
}

/// DEGRADED goes on carrying, unless it comes out of a recovery.
TEST(Audit, ADegradedSessionCarriesToo) {
  Log other("gw2");
  other.at(300).birth().at(400).terminate(State::kAttached, 2);
  Log one;
  one.birth()
      .at(100)
      .row(State::kAttached, State::kVolatile, Reason::kVolatilitySignal, 2)
      .at(200)
      .row(State::kVolatile, State::kDegraded, Reason::kEnterDegradedMode, 3)
      .limit()
      .at(900)
      .terminate(State::kDegraded, 4);
  EXPECT_EQ(audited({one.lines, other.lines}).verdict(), kBroken);
  Log dead;
  dead.birth()
      .at(100)
      .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
      .at(200)
      .row(State::kRecovering, State::kDegraded, Reason::kRecoveryBoundsExceeded, 3)
      .limit()
      .timeline()
      .at(900)
      .terminate(State::kDegraded, 4);
  const AuditReport report = audited({dead.lines, other.lines});
  EXPECT_EQ(report.verdict(), kOk) << text_of(report);
}

/// Each switch leaves the path that the session was bound to.
TEST(Audit, SwitchesFollowOneAnother) {
  const auto path = [](const char* remote) {
    return Path{0, *Endpoint::parse("192.0.2.1:51900"), *Endpoint::parse(remote)};
  };
  const Path paths[] = {path("192.0.2.2:1"), path("192.0.2.2:2"), path("192.0.2.2:3")};
  for (const bool sound : {true, false}) {
    Log log;
    Event born;
    born.kind = EventKind::kStateChange;
    born.from = State::kBirth;
    born.to = State::kAttached;
    born.reason = Reason::kHandshakeOk;
    born.state_version = StateVersion{1};
    born.to_path = paths[0];
    log.add(born);
    for (size_t jump = 0; jump < 2; ++jump) {
      log.at(1'000 * (jump + 1))
          .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2 * jump + 2)
          .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 2 * jump + 3)
          .timeline();
      Event moved;
      moved.kind = EventKind::kTransportSwitch;
      moved.reason = Reason::kTransportSwitchOk;
      moved.from_path = paths[sound ? jump : 0];
      moved.to_path = paths[jump + 1];
      log.add(moved)
          .audit(Reason::kAuditInvariantOkSingleActive)
          .audit(Reason::kAuditInvariantOkNoReset);
    }
    const AuditReport report = audited({log.lines});
    EXPECT_EQ(report.verdict(), sound ? kOk : kBroken) << text_of(report);
    if (!sound) {
      EXPECT_NE(text_of(report).find("a switch from 192.0.2.1:51900>192.0.2.2:1, but the session "
                                     "was bound to 192.0.2.1:51900>192.0.2.2:2"),
                std::string::npos)
          << text_of(report);
    }
  }
}

TEST(Audit, ANodeThatEndedWithoutAWordIsNoOwner) {
  Log one;
  one.birth().at(100).session(2).birth();
  Log other("gw2");
  other.at(150).birth();
  EXPECT_EQ(audited({one.lines, other.lines}).verdict(), kOk);
  one.at(200).session(3).birth();  // it wasn't dead
  EXPECT_EQ(audited({one.lines, other.lines}).verdict(), kBroken);
}

TEST(Audit, AFencedNodeIsNoOwner) {
  Log one;
  one.birth().at(300).event(EventKind::kOwnershipChange, Reason::kSecOwnershipAnomaly,
                            Detail::kOwnershipLost);
  Log other("gw2");
  other.at(150).birth();
  const AuditReport report = audited({one.lines, other.lines});
  EXPECT_EQ(report.verdict(), kOk) << text_of(report);
}

TEST(Audit, TimelinesAreRelativeAndAligned) {
  Log log;
  log.at(100).birth().at(1'350).terminate(State::kAttached, 2);
  EXPECT_EQ(render_audit(audited({log.lines}), {"a"}, true, false),
            R"(session 01000000000000000000000000000000: gw1 (responder) TERMINATED, version 2
SECONDS  NODE  EVENT                  VERSION  REASON              DETAIL
  0.000  gw1   BIRTH → ATTACHED             1  HANDSHAKE_OK
  1.250  gw1   ATTACHED → TERMINATED        2  POLICY_TERMINATION  operator

audit ok: 2 events of 1 session at 1 node
)");
  const std::string bright = render_audit(audited({log.lines}), {"a"}, true, true);
  EXPECT_NE(bright.find("\033[31mATTACHED → TERMINATED\033[0m"), std::string::npos);
}

/// What engines do under loss, cuts and wishes, until one ends the session.
AuditReport audit_of_engines(uint64_t seed) {
  test::Random random(seed);
  test::Jumper world(seed, [](size_t, EngineConfig& config) {
    config.policy.switching.max_switches_per_min = 6;
    config.policy.session.max_lifetime = Millis{600'000};
  });
  world.weather = {.loss = 0.05, .duplicate = 0.02, .delay_ms = 5, .jitter_ms = 20};
  for (int turn = 0; turn < 60; ++turn) {
    const size_t network = random.below(3);
    switch (random.below(4)) {
      case 0:
        world.jump(network);
        break;
      case 1:
        world.cut.insert(network);
        break;
      default:
        world.cut.erase(network);
    }
    world.run_with_data(Millis{random.below(4'000)}, 50);
  }
  world.engine(random.below(2)).shutdown(world.now);
  world.run_for(Millis{100});
  Audit audit({});
  for (uint32_t node = 0; node < 2; ++node) {
    std::istringstream lines(world.node(node).json_lines());
    std::string line;
    for (uint32_t number = 1; std::getline(lines, line); ++number)
      audit.add_line({node, number}, line);
  }
  return audit.finish();
}

TEST(Audit, BearsAnyText) {
  const uint64_t seed = test::fresh_seed();
  test::Random random(seed);
  Log log;
  log.birth().at(9).jump(2).at(5'000).jump(4).at(9'000).terminate(State::kAttached, 6);
  for (int run = 0; run < test::rounds(2'000); ++run) {
    LogLines lines = log.lines;
    for (uint64_t change = random.below(4); change <= 4; ++change) {
      std::string& line = lines[random.below(lines.size())];
      if (line.empty()) continue;
      const size_t at = random.below(line.size());
      if (random.chance(0.5))
        line[at] = static_cast<char>(random.below(256));
      else
        line.replace(at, random.below(20), std::to_string(random.next()));
    }
    const AuditReport report = audited({lines}, random.chance(0.5));
    EXPECT_FALSE(render_audit(report, {"a"}, true, true).empty()) << "JVPN_SEED=" << seed;
  }
}

TEST(Audit, TheEnginesOwnLogsAreSound) {
  const uint64_t seed = test::fresh_seed();
  constexpr uint64_t kRuns = test::rounds(20);
  for (uint64_t run = 0; run < kRuns; ++run) {
    const AuditReport report = audit_of_engines(seed + run);
    ASSERT_EQ(report.verdict(), kOk) << "replay by JVPN_SEED=" << seed + run << '\n'
                                     << render_audit(report, {"0", "1"}, true, false);
  }
}

}  // namespace
}  // namespace jvpn
