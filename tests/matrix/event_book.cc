#include "tests/matrix/event_book.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/audit_check.h"

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

}  // namespace

const std::map<std::string, std::array<uint64_t, 2>>& reason_totals() {
  return totals();
}

void EventBook::add(const std::string& json_line) {
  const nlohmann::json json = nlohmann::json::parse(json_line);
  ToldEvent line;
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
  text_lines_.push_back(json_line);
}

size_t EventBook::count(EventKind kind, Reason reason, Detail detail, size_t since) const {
  return static_cast<size_t>(std::count_if(
      lines_.begin() + static_cast<long>(since), lines_.end(), [&](const ToldEvent& line) {
        return line.event == to_string(kind) && line.reason == to_string(reason) &&
               (detail == Detail::kNone || line.detail == to_string(detail));
      }));
}

size_t EventBook::count(Reason reason, size_t since) const {
  return static_cast<size_t>(
      std::count_if(lines_.begin() + static_cast<long>(since), lines_.end(),
                    [&](const ToldEvent& line) { return line.reason == to_string(reason); }));
}

std::vector<std::string> EventBook::changes(size_t since) const {
  std::vector<std::string> found;
  for (size_t i = since; i < lines_.size(); ++i) {
    const ToldEvent& line = lines_[i];
    if (line.event != to_string(EventKind::kStateChange)) continue;
    std::string text = line.from;
    text += ">" + line.to + " " + line.reason;
    found.push_back(line.detail.empty() ? text : text + ":" + line.detail);
  }
  return found;
}

void expect_sound(const std::vector<const EventBook*>& books) {
  Audit audit(Audit::Options{});
  uint32_t file = 0;
  for (const EventBook* book : books) {
    uint32_t number = 0;
    for (const std::string& line : book->text_lines()) audit.add_line({file, ++number}, line);
    ++file;
  }
  const AuditReport report = audit.finish();
  EXPECT_EQ(report.skipped, 0U);
  for (const AuditFinding& finding : report.findings) {
    ADD_FAILURE() << finding.node << " line " << finding.place.line << ": " << finding.what;
  }
}

std::string EventBook::text() const {
  std::string all = side_ == Side::kGateway ? "gateway:\n" : "client:\n";
  const size_t first = lines_.size() > kLatest ? lines_.size() - kLatest : 0;
  for (size_t i = first; i < lines_.size(); ++i) {
    const ToldEvent& line = lines_[i];
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
