#include "tests/matrix/coverage.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "common/reason.h"
#include "tests/matrix/event_book.h"
#include "tests/matrix/rows.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

const Section* section_named(std::string_view id) {
  const auto* const found = std::ranges::find(kSections, id, &Section::id);
  return found == std::end(kSections) ? nullptr : found;
}

bool is_row(std::string_view suite, std::string_view name) {
  return std::ranges::any_of(kRows, [&](const Row& row) {
    return row.name == name && section_named(row.section)->suite == suite;
  });
}

/// `Suite.test` of all registered tests, or of those that ran to their end.
std::set<std::string> tests(bool only_run) {
  std::set<std::string> names;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int k = 0; k < suite.total_test_count(); ++k) {
      const testing::TestInfo& test = *suite.GetTestInfo(k);
      const bool ran = test.should_run() && !test.result()->Skipped();
      if (only_run && !ran) continue;
      names.insert(std::string(suite.name()) + "." + test.name());
    }
  }
  return names;
}

void judge_rows() {
  const std::set<std::string> ran = tests(true);
  std::string missing;
  for (const Row& row : kRows) {
    const std::string_view suite = section_named(row.section)->suite;
    if (ran.contains(std::string(suite) + "." + std::string(row.name))) continue;
    missing += " " + std::string(row.section) + "." + std::string(row.name);
  }
  EXPECT_EQ(missing, "") << "rows of which no test ran";
}

constexpr size_t kGatewayEnd = 0, kClientEnd = 1;  // of reason_totals()

void judge_reasons() {
  std::string missing;
  for (const ReasonText& text : all_reasons()) {
    const auto counted = reason_totals().find(text.code);
    // Nobody answered, or who did has lost the keys: only whoever asks can tell.
    const bool asked = text.reason == Reason::kReattachTimeout || text.reason == Reason::kKeysLost;
    const size_t end = asked ? kClientEnd : kGatewayEnd;
    const bool emitted = counted != reason_totals().end() && counted->second[end] != 0;
    if (!emitted) missing += std::string(" ") + text.code;
  }
  EXPECT_EQ(missing, "") << "reasons that no gateway (or client) emitted";
}

void print_reasons() {
  std::printf("%-34s %10s %10s\n", "reason", "gateways", "clients");
  for (const ReasonText& text : all_reasons()) {
    const auto counted = reason_totals().find(text.code);
    const auto [gateway, client] =
        counted == reason_totals().end() ? std::array<uint64_t, 2>{} : counted->second;
    std::printf("%-34s %10llu %10llu\n", text.code, static_cast<unsigned long long>(gateway),
                static_cast<unsigned long long>(client));
  }
}

bool all_asked_for() {
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  return all.test_to_run_count() == all.total_test_count();
}

}  // namespace

void Coverage::TearDown() {
  print_reasons();
  if (!all_asked_for()) return;
  judge_rows();
  judge_reasons();
}

TEST(Rows, are_listed_once) {
  std::set<std::string> seen;
  for (const Row& row : kRows) {
    ASSERT_NE(section_named(row.section), nullptr) << row.section;
    const std::string id = std::string(row.section) + "." + std::string(row.name);
    EXPECT_TRUE(seen.insert(id).second) << id;
  }
}

TEST(Rows, are_as_many_as_in_the_specification) {
  for (const Section& section : kSections) {
    EXPECT_EQ(static_cast<size_t>(std::ranges::count(kRows, section.id, &Row::section)),
              section.rows)
        << section.id;
  }
}

TEST(Rows, are_what_the_tests_are_named_after) {
  for (const std::string& test : tests(false)) {
    const std::string suite = test.substr(0, test.find('.'));
    if (std::ranges::find(kSections, suite, &Section::suite) == std::end(kSections)) continue;
    EXPECT_TRUE(is_row(suite, test.substr(suite.size() + 1))) << test << " is no row";
  }
}

}  // namespace jvpn::test
