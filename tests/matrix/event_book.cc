#include "tests/matrix/event_book.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tools/jvpn/audit_check.h"

namespace jvpn::test {
namespace {

constexpr size_t kLatest = 40;  ///< of text()

std::map<std::string, std::array<uint64_t, 2>>& totals() {
  static std::map<std::string, std::array<uint64_t, 2>> map;
  return map;
}

/// What stands behind a key of a flat JSON object without escapes; empty when it has no such key.
std::string_view value_of(std::string_view line, const char* key) {
  const std::string quoted = '"' + std::string(key) + "\":";
  const size_t at = line.find(quoted);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = line.substr(at + quoted.size());
  if (!rest.starts_with('"')) return rest.substr(0, rest.find_first_of(",}"));
  return rest.substr(1, rest.find('"', 1) - 1);
}

std::string text_of(std::string_view line, const char* key) {
  return std::string(value_of(line, key));
}

std::optional<uint64_t> number(std::string_view line, const char* key) {
  const std::string_view digits = value_of(line, key);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace

const std::map<std::string, std::array<uint64_t, 2>>& reason_totals() {
  return totals();
}

void EventBook::add(const std::string& json_line) {
  ToldEvent line;
  line.event = text_of(json_line, "event");
  line.reason = text_of(json_line, "reason");
  line.detail = text_of(json_line, "detail");
  line.session = text_of(json_line, "session_id");
  line.from = text_of(json_line, "from");
  line.to = text_of(json_line, "to");
  line.check = text_of(json_line, "check");
  line.result = text_of(json_line, "result");
  line.version = number(json_line, "state_version").value_or(0);
  line.at = Millis{number(json_line, "boot_ms").value_or(0)};
  line.duration_ms = number(json_line, "duration_ms");
  line.attempts = number(json_line, "attempts");
  line.count = number(json_line, "count");
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

void expect_sound(const std::vector<const EventBook*>& books, const std::string& planted) {
  Audit audit(Audit::Options{});
  uint32_t file = 0;
  for (const EventBook* book : books) {
    uint32_t number = 0;
    for (const std::string& line : book->text_lines()) audit.add_line({file, ++number}, line);
    ++file;
  }
  const AuditReport report = audit.finish();
  EXPECT_EQ(report.skipped, 0U);
  if (!planted.empty()) {
    EXPECT_NE(std::ranges::find(report.findings, planted, &AuditFinding::what),
              report.findings.end());
  }
  for (const AuditFinding& finding : report.findings) {
    if (finding.what == planted) continue;
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
