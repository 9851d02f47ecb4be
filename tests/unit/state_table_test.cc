// docs/STATE_MACHINE.md shows the table and the drawing that the code's table gives, and every row
// of the table says what a reader needs.
#include "control/session/state_table.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr const char* kBegin = "<!-- generated from control/session/state_table.cc";
constexpr const char* kEnd = "<!-- end -->";

std::string document_path() {
  const char* root = std::getenv("JVPN_SOURCE_ROOT");
  return std::string(root == nullptr ? "." : root) + "/docs/STATE_MACHINE.md";
}

std::string read_document() {
  std::ifstream file(document_path());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(StateTable, DocumentIsTheCodesTable) {
  const std::string text = read_document();
  const size_t begin = text.find(kBegin);
  ASSERT_NE(begin, std::string::npos) << document_path();
  const size_t start = text.find('\n', begin) + 1;
  const size_t end = text.find(kEnd, start);
  ASSERT_NE(end, std::string::npos);
  const std::string expected = "\n" + state_table_markdown() + "\n";
  if (std::getenv("JVPN_RECORD") != nullptr) {
    std::ofstream(document_path()) << text.substr(0, start) << expected << text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(start, end - start), expected)
      << "JVPN_RECORD=1 writes the document's table anew";
}

TEST(StateTable, EveryRowSaysWhatItWaitsFor) {
  for (const Row& row : state_table()) {
    EXPECT_NE(row.from, 0);
    if (row.when == When::kDue) {
      ASSERT_NE(row.deadline.at, nullptr);
      EXPECT_NE(row.deadline.words, nullptr);
    }
    if (row.when == When::kTriggered) {
      EXPECT_EQ(row.guard.holds == nullptr, row.guard.words == nullptr);
    }
    EXPECT_NE(to_string(row.reason), std::string("UNKNOWN"));
  }
}

TEST(StateTable, RowsSayWhatTheyDoToTheBinding) {
  for (const Row& row : state_table()) {
    const bool commits = row.when == When::kTriggered && row.trigger == Trigger::kReattachCommitted;
    EXPECT_EQ(row.binding == BindingEffect::kEnd, row.to == State::kTerminated);
    EXPECT_EQ(row.binding == BindingEffect::kReplace, commits && row.to == State::kRecovering);
    EXPECT_EQ(row.binding == BindingEffect::kBind,
              row.to == State::kAttached && row.when == When::kTriggered);
    EXPECT_EQ(row.binding == BindingEffect::kLoseIfSilent, row.to == State::kDegraded);
    EXPECT_EQ(row.counts == Counts::kFlap, row.to == State::kVolatile);
    EXPECT_EQ(row.counts == Counts::kSwitch, commits && row.to == State::kAttached);
  }
}

}  // namespace
}  // namespace jvpn
