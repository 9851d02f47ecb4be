// Logs as the programs write them, for the tests of `jvpn audit`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/events/event_json.h"
#include "tests/support/rooms.h"
#include "tools/jvpn/audit.h"

namespace jvpn::test {

using LogLines = std::vector<std::string>;

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

inline AuditReport audited(const std::vector<std::vector<std::string>>& files,
                           bool partial = false) {
  Audit audit({partial});
  for (uint32_t file = 0; file < files.size(); ++file)
    for (uint32_t line = 0; line < files[file].size(); ++line)
      audit.add_line({file, line + 1}, files[file][line]);
  return audit.finish();
}

inline std::string text_of(const AuditReport& report) {
  return render_audit(report, {"a", "b", "c"}, false, false);
}

constexpr auto kOk = AuditVerdict::kOk;
constexpr auto kBroken = AuditVerdict::kBroken;
constexpr auto kIncomplete = AuditVerdict::kIncomplete;

}  // namespace jvpn::test
