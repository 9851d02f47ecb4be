// `jvpn audit`: good logs, each rule broken once, logs with holes; and the engine's own logs, which
// must always be sound.
#include "tools/jvpn/audit.h"

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/jumper.h"

namespace jvpn {
namespace {

using test::Lines;

/// Writes a node's log as the programs do.
class Log {
 public:
  explicit Log(std::string node = "gw1", SessionEnd end = SessionEnd::kResponder)
      : node_(std::move(node)), end_(end) {}

  Log& at(uint64_t ms) {
    now_ = ms;
    return *this;
  }
  Log& session(uint8_t number) {
    session_ = {};
    session_.bytes[15] = number;
    return *this;
  }
  Log& add(Event event) {
    event.at = Millis{now_};
    event.end = end_;
    event.session = session_;
    lines.push_back(to_json_line(event, ++sequence_, 1'000'000 + now_, node_));
    return *this;
  }
  Log& row(State from, State to, Reason reason, uint64_t version, Detail detail = Detail::kNone) {
    Event event;
    event.kind = EventKind::kStateChange;
    event.from = from;
    event.to = to;
    event.reason = reason;
    event.detail = detail;
    event.state_version = StateVersion{version};
    return add(event);
  }
  Log& audit(Reason reason, const char* result = "ok") {
    Event event;
    event.kind = EventKind::kAuditEvent;
    event.reason = reason;
    event.result = result;
    return add(event);
  }
  Log& event(EventKind kind, Reason reason, Detail detail = Detail::kNone,
             const char* check = nullptr, const char* result = nullptr) {
    Event event;
    event.kind = kind;
    event.reason = reason;
    event.detail = detail;
    event.check = check;
    event.result = result;
    return add(event);
  }
  Log& birth() { return row(State::kBirth, State::kAttached, Reason::kHandshakeOk, 1); }
  /// What a row RECOVERING → ATTACHED owes, but for the timeline.
  Log& companions() {
    return event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk)
        .audit(Reason::kAuditInvariantOkSingleActive)
        .audit(Reason::kAuditInvariantOkNoReset);
  }
  Log& timeline() { return audit(Reason::kAuditRecoveryTimeline, nullptr); }
  Log& limit() { return audit(Reason::kAuditPolicyLimitTriggered, nullptr); }
  /// By death, at `now` and a second later.
  Log& jump(uint64_t version) {
    return row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, version)
        .at(now_ + 1'000)
        .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, version + 1)
        .timeline()
        .companions();
  }
  Log& terminate(State from, uint64_t version) {
    return row(from, State::kTerminated, Reason::kPolicyTermination, version, Detail::kOperator);
  }
  /// Those lines never came.
  Log& drop(size_t first, size_t count = 1) {
    const auto begin = lines.begin() + static_cast<std::ptrdiff_t>(first - 1);
    lines.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
    return *this;
  }
  /// The program starts anew: its numbers do, too.
  Log& restart() {
    sequence_ = 0;
    return *this;
  }
  Log& skip(uint64_t numbers) {
    sequence_ += numbers;
    return *this;
  }

  std::vector<std::string> lines;

 private:
  std::string node_;
  SessionEnd end_;
  SessionId session_{{1}};
  uint64_t sequence_ = 0;
  uint64_t now_ = 0;
};

AuditReport audited(const std::vector<std::vector<std::string>>& files, bool partial = false) {
  Audit audit({partial});
  for (uint32_t file = 0; file < files.size(); ++file)
    for (uint32_t line = 0; line < files[file].size(); ++line)
      audit.add_line({file, line + 1}, files[file][line]);
  return audit.finish();
}

std::string text_of(const AuditReport& report) {
  return render_audit(report, {"a", "b", "c"}, false, false);
}

struct Case {
  const char* name;
  std::function<void(Log&)> write;
  AuditVerdict verdict;
  const char* finding;  ///< a part of the only one
};

void check(const Case& c, bool partial = false) {
  SCOPED_TRACE(c.name);
  Log log;
  c.write(log);
  const AuditReport report = audited({log.lines}, partial);
  EXPECT_EQ(report.verdict(), c.verdict) << text_of(report);
  EXPECT_EQ(report.findings.size(), c.finding == nullptr ? 0U : 1U) << text_of(report);
  if (c.finding != nullptr) {
    EXPECT_NE(text_of(report).find(c.finding), std::string::npos) << text_of(report);
  }
}

constexpr auto kOk = AuditVerdict::kOk;
constexpr auto kBroken = AuditVerdict::kBroken;
constexpr auto kIncomplete = AuditVerdict::kIncomplete;

const Case kSoundLogs[] = {
    {"a session", [](Log& log) { log.birth().at(9).terminate(State::kAttached, 2); }, kOk, nullptr},
    {"a handshake that fails",
     [](Log& log) {
       log.row(State::kBirth, State::kTerminated, Reason::kHandshakeFail, 1, Detail::kTimeout);
     },
     kOk, nullptr},
    {"a jump by death", [](Log& log) { log.birth().at(9).jump(2).at(5'000).jump(4); }, kOk,
     nullptr},
    {"a planned jump has no timeline",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .companions();
     },
     kOk, nullptr},
    {"bounds exceeded, then the end",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .at(99)
           .row(State::kRecovering, State::kDegraded, Reason::kRecoveryBoundsExceeded, 3)
           .limit()
           .timeline()
           .at(999)
           .row(State::kDegraded, State::kTerminated, Reason::kTtlTransportLossExpired, 4)
           .limit();
     },
     kOk, nullptr},
    {"switch rate exceeded",
     [](Log& log) {
       log.birth()
           .at(9)
           .event(EventKind::kReattach, Reason::kPolicyDeny, Detail::kSwitchRate, "policy",
                  "reject")
           .audit(Reason::kAuditPolicyLimitTriggered, nullptr)
           .event(EventKind::kTransportSwitch, Reason::kTransportSwitchDenied, Detail::kSwitchRate)
           .row(State::kAttached, State::kDegraded, Reason::kEnterDegradedMode, 2,
                Detail::kSwitchRate)
           .limit();
     },
     kOk, nullptr},
    {"the initiator's side of a refusal owes nothing",
     [](Log& log) {
       log.birth()
           .at(9)
           .event(EventKind::kReattach, Reason::kPolicyDeny, Detail::kCooldown, nullptr, "reject")
           .at(10)
           .terminate(State::kAttached, 2);
     },
     kOk, nullptr},
    {"refusals after the end",
     [](Log& log) {
       log.birth()
           .at(9)
           .terminate(State::kAttached, 2)
           .at(10)
           .event(EventKind::kSecurityEvent, Reason::kSecSessionFixationAttempt)
           .event(EventKind::kReattach, Reason::kSessionExpired, Detail::kNone, "exists", "reject")
           .audit(Reason::kAuditTransitionRefused, "TERMINATED");
     },
     kOk, nullptr},
    {"two sessions, interleaved",
     [](Log& log) {
       log.birth().session(2).birth().session(3).birth().at(9).jump(2).session(2).terminate(
           State::kAttached, 2);
     },
     kOk, nullptr},
    {"a restart in the same file",
     [](Log& log) {
       log.birth().at(9).restart().session(2).birth().at(10).terminate(State::kAttached, 2);
     },
     kOk, nullptr},
    {"events of no session",
     [](Log& log) { log.birth().session(0).event(EventKind::kConfigEvent, Reason::kConfigLoaded); },
     kOk, nullptr},
};

TEST(Audit, SoundLogsPass) {
  for (const Case& c : kSoundLogs) check(c);
}

/// A switch with companion number `missing` left out, and something later.
void jump_without(Log& log, size_t missing) {
  log.birth().at(9).jump(2).drop(missing).at(5'000).event(EventKind::kKeyEvent,
                                                          Reason::kHandshakeOk);
}

const Case kBrokenLogs[] = {
    {"illegal transition",
     [](Log& log) {
       log.birth().at(9).row(State::kAttached, State::kDegraded, Reason::kRecoveryStart, 2);
     },
     kBroken,
     "a:2: broken: session 01000000 at gw1: illegal transition: no row leads from ATTACHED "
     "to DEGRADED by RECOVERY_START"},
    {"from isn't the last to",
     [](Log& log) {
       log.birth().at(9).row(State::kVolatile, State::kAttached, Reason::kHealthRecovered, 2);
     },
     kBroken, "leaves VOLATILE, but the session was in ATTACHED"},
    {"a version is missing", [](Log& log) { log.birth().at(9).terminate(State::kAttached, 3); },
     kBroken, "state_version 3 after 1: a gap"},
    {"a version comes twice", [](Log& log) { log.birth().at(9).terminate(State::kAttached, 1); },
     kBroken, "state_version 1 after 1"},
    {"a session begins with another version",
     [](Log& log) { log.row(State::kBirth, State::kAttached, Reason::kHandshakeOk, 2); }, kBroken,
     "begins with state_version 2, not 1"},
    {"a session begins in the middle", [](Log& log) { log.terminate(State::kAttached, 7); },
     kBroken, "begins in ATTACHED, not in BIRTH"},
    {"an event before birth",
     [](Log& log) { log.event(EventKind::kKeyEvent, Reason::kHandshakeOk).birth(); }, kBroken,
     "a KEY_EVENT before its BIRTH"},
    {"a transition after TERMINATED",
     [](Log& log) {
       log.birth()
           .at(9)
           .terminate(State::kAttached, 2)
           .at(10)
           .row(State::kAttached, State::kVolatile, Reason::kVolatilitySignal, 3);
     },
     kBroken, "a transition after TERMINATED"},
    {"keys after TERMINATED",
     [](Log& log) {
       log.birth()
           .at(9)
           .terminate(State::kAttached, 2)
           .event(EventKind::kKeyEvent, Reason::kHandshakeOk);
     },
     kBroken, "a KEY_EVENT after TERMINATED"},
    {"an unknown reason",
     [](Log& log) {
       log.birth();
       std::string& line = log.lines.back();
       line.replace(line.find("HANDSHAKE_OK"), 12, "HANDSHAKE_OH");
     },
     kBroken, "unknown reason HANDSHAKE_OH"},
    {"no reason",
     [](Log& log) {
       log.birth();
       std::string& line = log.lines.back();
       line.replace(line.find("\"reason\""), 8, "\"raison\"");
     },
     kBroken, "no reason"},
    {"a transition without its version",
     [](Log& log) {
       log.birth();
       std::string& line = log.lines.back();
       line.replace(line.find("state_version"), 13, "stale_version");
     },
     kBroken, "a STATE_CHANGE without from, to or state_version"},
    {"a transition of no session", [](Log& log) { log.session(0).birth(); }, kBroken,
     "a STATE_CHANGE of no session"},
    {"an invariant is violated",
     [](Log& log) {
       log.birth().at(9).jump(2).at(5'000);
       std::string& line = log.lines.back();
       line.replace(line.find("\"ok\""), 4, "\"violated\"");
     },
     kBroken, "an invariant is violated: AUDIT_INVARIANT_OK_NO_RESET"},
    {"a switch without a transition",
     [](Log& log) {
       log.birth().at(9).event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk);
     },
     kBroken, "a switch without a transition from RECOVERING to ATTACHED"},
    {"no denial before a switch rate's row",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kDegraded, Reason::kEnterDegradedMode, 2,
                Detail::kSwitchRate)
           .limit();
     },
     kBroken, "no TRANSPORT_SWITCH_DENIED before it"},
};

TEST(Audit, EveryBrokenRuleIsFound) {
  for (const Case& c : kBrokenLogs) check(c);
}

// Lines are numbered from 1; a log that merely lacks them is incomplete, so these are written
// without.
const Case kMissingCompanions[] = {
    {"no TRANSPORT_SWITCH",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .audit(Reason::kAuditInvariantOkSingleActive)
           .audit(Reason::kAuditInvariantOkNoReset)
           .at(10)
           .terminate(State::kAttached, 4);
     },
     kBroken, "no TRANSPORT_SWITCH TRANSPORT_SWITCH_OK follows TRANSPORT_SWITCH_OK"},
    {"no single active",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk)
           .audit(Reason::kAuditInvariantOkNoReset)
           .at(10)
           .terminate(State::kAttached, 4);
     },
     kBroken, "no AUDIT_INVARIANT_OK_SINGLE_ACTIVE follows TRANSPORT_SWITCH_OK"},
    {"no check of the reset",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk)
           .audit(Reason::kAuditInvariantOkSingleActive)
           .at(10)
           .session(2)
           .birth();
     },
     kBroken, "no AUDIT_INVARIANT_OK_NO_RESET follows TRANSPORT_SWITCH_OK"},
    {"no timeline",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .at(10)
           .terminate(State::kRecovering, 3)
           .at(11)
           .session(2)
           .birth();
     },
     kBroken, "no AUDIT_RECOVERY_TIMELINE follows POLICY_TERMINATION"},
    {"no limit",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kTerminated, Reason::kTtlSessionExpired, 2)
           .at(10)
           .session(2)
           .birth();
     },
     kBroken, "no AUDIT_POLICY_LIMIT_TRIGGERED follows TTL_SESSION_EXPIRED"},
    {"no limit after a refusal for one",
     [](Log& log) {
       log.birth()
           .at(9)
           .event(EventKind::kReattach, Reason::kPolicyDeny, Detail::kCooldown, "policy", "reject")
           .at(10)
           .terminate(State::kAttached, 2);
     },
     kBroken, "no AUDIT_POLICY_LIMIT_TRIGGERED follows POLICY_DENY"},
    {"the log ends within a step",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .at(10)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .timeline()
           .event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk)
           .audit(Reason::kAuditInvariantOkSingleActive);
     },
     kIncomplete,
     "a:3: incomplete: session 01000000 at gw1: no AUDIT_INVARIANT_OK_NO_RESET follows "
     "TRANSPORT_SWITCH_OK: the log ends"},
};

TEST(Audit, MissingCompanionsAreFound) {
  for (const Case& c : kMissingCompanions) check(c);
}

const Case kLogsWithHoles[] = {
    {"one line is missing", [](Log& log) { jump_without(log, 6); }, kIncomplete,
     "a:6: incomplete: gw1: 1 event missing before this one"},
    {"rows are missing", [](Log& log) { log.birth().at(9).jump(2).at(5'000).jump(4).drop(3, 6); },
     kIncomplete, "6 events missing"},
    {"births are missing", [](Log& log) { log.birth().session(2).birth().at(9).jump(2).drop(2); },
     kIncomplete, "1 event missing"},
    {"the beginning is missing", [](Log& log) { log.birth().at(9).jump(2).drop(1, 2); },
     kIncomplete, "a:1: incomplete: gw1: 2 events missing before this one"},
    {"the log tells of a loss",
     [](Log& log) {
       Event loss;
       loss.kind = EventKind::kAuditEvent;
       loss.reason = Reason::kEventsLost;
       loss.lost = 4;
       log.birth().skip(3).at(9).session(0).add(loss).session(2).at(10).jump(8);
     },
     kIncomplete, "a:2: incomplete: gw1: 4 events lost, as the log itself says"},
    {"a hole excuses no repeated version",
     [](Log& log) { log.birth().skip(2).at(9).terminate(State::kAttached, 1); }, kBroken,
     "state_version 1 after 1"},
    {"nothing at all",
     [](Log& log) {
       log.lines = {"", "no event", "{}"};
     },
     kIncomplete, nullptr},
};

TEST(Audit, HolesAreNoErrors) {
  for (const Case& c : kLogsWithHoles) {
    if (c.verdict == kIncomplete) check(c);
  }
  Log log;
  kLogsWithHoles[5].write(log);
  EXPECT_EQ(audited({log.lines}).verdict(), kBroken);
}

TEST(Audit, APartialLogMayBeginAnywhere) {
  const auto cut = [](Log& log) { log.birth().at(9).jump(2).at(5'000).jump(4).drop(1, 4); };
  check({"partial", cut, kOk, nullptr}, true);
  check({"whole", cut, kIncomplete, "4 events missing"}, false);
  check({"partial with a hole",
         [](Log& log) { log.birth().at(9).jump(2).at(5'000).jump(4).drop(9).drop(1, 4); },
         kIncomplete, "1 event missing"},
        true);
}

TEST(Audit, RotatedPartsComeInAnyOrder) {
  Log log;
  log.birth().at(9).jump(2).at(5'000).jump(4).at(9'000).terminate(State::kAttached, 6);
  const Lines older(log.lines.begin(), log.lines.begin() + 5);
  const Lines newer(log.lines.begin() + 5, log.lines.end());
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
  Lines lines = log.lines;
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
  EXPECT_EQ(report.nodes, (Lines{"gw1", "laptop"}));
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
  one.birth().at(300).event(EventKind::kSecurityEvent, Reason::kSecOwnershipAnomaly,
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

TEST(Audit, TheEnginesOwnLogsAreSound) {
  const uint64_t seed = test::fresh_seed();
  for (uint64_t run = 0; run < 20; ++run) {
    const AuditReport report = audit_of_engines(seed + run);
    ASSERT_EQ(report.verdict(), kOk) << "replay by JVPN_SEED=" << seed + run << '\n'
                                     << render_audit(report, {"0", "1"}, true, false);
  }
}

}  // namespace
}  // namespace jvpn
