#include "tests/matrix/event_book.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/session_fsm.h"

namespace jvpn::test {
namespace {

constexpr size_t kLatest = 40;  ///< of text()

std::map<std::string, std::array<uint64_t, 2>>& totals() {
  static std::map<std::string, std::array<uint64_t, 2>> map;
  return map;
}

std::optional<uint64_t> number(const nlohmann::json& line, const char* key) {
  const auto at = line.find(key);
  if (at == line.end()) return std::nullopt;
  return at->get<uint64_t>();
}

State state_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(State::kTerminated); ++i) {
    if (name == to_string(static_cast<State>(i))) return static_cast<State>(i);
  }
  ADD_FAILURE() << "no state is named " << name;
  return State::kBirth;
}

}  // namespace

const std::map<std::string, std::array<uint64_t, 2>>& reason_totals() {
  return totals();
}

void EventBook::add(const std::string& json_line) {
  const nlohmann::json json = nlohmann::json::parse(json_line);
  EventLine line;
  line.event = json.at("event");
  line.reason = json.at("reason");
  line.detail = json.value("detail", "");
  line.session = json.at("session_id");
  line.from = json.value("from", "");
  line.to = json.value("to", "");
  line.check = json.value("check", "");
  line.result = json.value("result", "");
  line.path = json.value("path", "");
  line.version = json.value("state_version", uint64_t{0});
  line.at = Millis{json.at("boot_ms").get<uint64_t>()};
  line.duration_ms = number(json, "duration_ms");
  line.attempts = number(json, "attempts");
  ++totals()[line.reason][static_cast<size_t>(side_)];
  lines_.push_back(std::move(line));
}

size_t EventBook::count(EventKind kind, Reason reason, Detail detail, size_t since) const {
  return static_cast<size_t>(std::count_if(
      lines_.begin() + static_cast<long>(since), lines_.end(), [&](const EventLine& line) {
        return line.event == to_string(kind) && line.reason == to_string(reason) &&
               (detail == Detail::kNone || line.detail == to_string(detail));
      }));
}

size_t EventBook::count(Reason reason, size_t since) const {
  return static_cast<size_t>(
      std::count_if(lines_.begin() + static_cast<long>(since), lines_.end(),
                    [&](const EventLine& line) { return line.reason == to_string(reason); }));
}

std::vector<std::string> EventBook::changes(size_t since) const {
  std::vector<std::string> found;
  for (size_t i = since; i < lines_.size(); ++i) {
    const EventLine& line = lines_[i];
    if (line.event != to_string(EventKind::kStateChange)) continue;
    std::string text = line.from;
    text += ">" + line.to + " " + line.reason;
    found.push_back(line.detail.empty() ? text : text + ":" + line.detail);
  }
  return found;
}

void EventBook::audit_change(const EventLine& line,
                             std::map<std::string, EventLine>& latest) const {
  const auto reason = parse_reason(line.reason);
  ASSERT_TRUE(reason) << line.reason;
  EXPECT_TRUE(legal_row(state_named(line.from), state_named(line.to), *reason))
      << line.from << ">" << line.to << " " << line.reason;
  const auto before = latest.find(line.session);
  EXPECT_EQ(line.from, before == latest.end() ? "BIRTH" : before->second.to) << text();
  EXPECT_EQ(line.version, before == latest.end() ? 1 : before->second.version + 1) << text();
  latest[line.session] = line;
}

void EventBook::audit() const {
  std::map<std::string, EventLine> latest;
  size_t recovered = 0;
  size_t stays = 0;  // in RECOVERING; a planned jump passes through it at once
  for (size_t i = 0; i < lines_.size(); ++i) {
    const EventLine& line = lines_[i];
    EXPECT_NE(line.result, "violated") << line.check;
    if (line.event != to_string(EventKind::kStateChange)) continue;
    audit_change(line, latest);
    recovered += line.reason == to_string(Reason::kTransportSwitchOk);
    const bool planned = i > 0 && lines_[i - 1].event == line.event &&
                         lines_[i - 1].to == line.from && lines_[i - 1].at == line.at;
    stays += line.from == to_string(State::kRecovering) && !planned;
  }
  EXPECT_EQ(count(EventKind::kTransportSwitch, Reason::kTransportSwitchOk), recovered);
  EXPECT_EQ(count(EventKind::kAuditEvent, Reason::kAuditInvariantOkSingleActive), recovered);
  EXPECT_EQ(count(EventKind::kAuditEvent, Reason::kAuditInvariantOkNoReset), recovered);
  EXPECT_EQ(count(EventKind::kReattach, Reason::kReattachAccept), recovered);
  EXPECT_EQ(count(EventKind::kAuditEvent, Reason::kAuditRecoveryTimeline), stays) << text();
}

std::string EventBook::text() const {
  std::string all = side_ == Side::kGateway ? "gateway:\n" : "client:\n";
  const size_t first = lines_.size() > kLatest ? lines_.size() - kLatest : 0;
  for (size_t i = first; i < lines_.size(); ++i) {
    const EventLine& line = lines_[i];
    all += "  " + std::to_string(line.at.value) + " " + line.event;
    for (const std::string* word :
         {&line.reason, &line.detail, &line.from, &line.to, &line.check, &line.result}) {
      if (!word->empty()) all += " " + *word;
    }
    all += line.version == 0 ? "\n" : " " + std::to_string(line.version) + "\n";
  }
  return all;
}

}  // namespace jvpn::test
