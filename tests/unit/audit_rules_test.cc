// Each rule of `jvpn audit`: sound logs, logs that break it once, logs with holes.
#include <functional>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/unit/audit_rig.h"

namespace jvpn {
namespace {

using namespace test;

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

const Case kSoundLogs[] = {
    {"a session", [](Log& log) { log.birth().at(9).terminate(State::kAttached, 2); }, kOk, nullptr},
    {"a handshake that fails",
     [](Log& log) {
       log.row(State::kBirth, State::kTerminated, Reason::kHandshakeFail, 1, Detail::kTimeout);
     },
     kOk, nullptr},
    {"a jump by death", [](Log& log) { log.birth().at(9).jump(2).at(5'000).jump(4); }, kOk,
     nullptr},
    {"a planned jump",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .timeline()
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
    {"a session that its gateway's next run resumes",
     [](Log& log) {
       log.birth()
           .at(9)
           .event(EventKind::kOwnershipChange, Reason::kSessionParked)
           .restart()
           .at(20)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 1'026,
                Detail::kResumed)
           .timeline()
           .companions()
           .event(EventKind::kOwnershipChange, Reason::kSessionResumed);
     },
     kOk, nullptr},
    {"a session that another gateway resumes",
     [](Log& log) {
       log.row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 1'026,
               Detail::kResumed)
           .timeline()
           .companions();
     },
     kOk, nullptr},
    {"a switch whose session ends in the same step",
     [](Log& log) {
       log.birth()
           .at(9)
           .row(State::kAttached, State::kRecovering, Reason::kRecoveryStart, 2)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3)
           .timeline()
           .event(EventKind::kTransportSwitch, Reason::kTransportSwitchOk)
           .terminate(State::kAttached, 4);
     },
     kOk, nullptr},
    {"a session that is handed over while its gateway runs, and comes back",
     [](Log& log) {
       log.birth()
           .event(EventKind::kConfigEvent, Reason::kDrainBegun)
           .at(9)
           .event(EventKind::kOwnershipChange, Reason::kSessionParked)
           .event(EventKind::kConfigEvent, Reason::kDrainDone)
           .at(20)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 1'026,
                Detail::kResumed)
           .timeline()
           .companions()
           .event(EventKind::kOwnershipChange, Reason::kSessionResumed);
     },
     kOk, nullptr},
    {"an end that its store never heard of, found by the next run",
     [](Log& log) {
       log.birth()
           .at(9)
           .terminate(State::kAttached, 2)
           .restart()
           .at(20)
           .row(State::kRecovering, State::kTerminated, Reason::kPolicyTermination, 1'026,
                Detail::kResumed)
           .timeline();
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
    {"a session that goes on after a restart without a resume",
     [](Log& log) { log.birth().at(9).restart().at(20).terminate(State::kAttached, 2); }, kBroken,
     "goes on after its program has ended, without a resume"},
    {"a version that falls over a restart",
     [](Log& log) {
       log.birth()
           .at(9)
           .jump(2)
           .restart()
           .at(20)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 3,
                Detail::kResumed)
           .timeline()
           .companions();
     },
     kBroken, "state_version 3 after 3"},
    {"a resume after the end",
     [](Log& log) {
       log.birth()
           .at(9)
           .terminate(State::kAttached, 2)
           .restart()
           .at(20)
           .row(State::kRecovering, State::kAttached, Reason::kTransportSwitchOk, 1'026,
                Detail::kResumed)
           .timeline()
           .companions();
     },
     kBroken, "a transition after TERMINATED"},
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
           .timeline()
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
           .timeline()
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
           .timeline()
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

}  // namespace
}  // namespace jvpn
