// What a receiver says of a lane that it has closed, and what its sender makes of it.
#include "common/lane_report.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

constexpr ReceiverIndex kIndex{0x1234'5678};
using Window = ReplayWindow<kReplayWindowBits>;

LaneReport report_of(const Window& window, LaneId lane = LaneId{3}) {
  LaneReport report{kIndex, true, {}};
  add_lane(report, lane, window);
  return report;
}

TEST(LaneReport, ALaneThatNothingCameOnIsMissingWhole) {
  const LaneReport report = report_of(Window{});
  EXPECT_TRUE(report.lanes.empty());
  EXPECT_EQ(report.receipt(LaneId{3}, 0), Receipt::kMissing);
}

TEST(LaneReport, TellsTheFirstPacketFromNone) {
  Window window;
  window.accept(0);
  const LaneReport report = report_of(window);
  EXPECT_EQ(report.receipt(LaneId{3}, 0), Receipt::kReceived);
  EXPECT_EQ(report.receipt(LaneId{3}, 1), Receipt::kMissing);
  EXPECT_EQ(report.receipt(LaneId{4}, 0), Receipt::kMissing);
}

TEST(LaneReport, WhatIsOlderThanTheHolesToldCountsAsReceived) {
  Window window;
  window.accept(10'000);
  const LaneReport report = report_of(window);
  EXPECT_EQ(report.receipt(LaneId{3}, 10'001 - kReportedHoles), Receipt::kMissing);
  EXPECT_EQ(report.receipt(LaneId{3}, 10'000 - kReportedHoles), Receipt::kReceived);
}

TEST(LaneReport, SaysOfEachRecentPacketWhetherItWasAccepted) {
  std::mt19937_64 random(test::run_seed());
  for (int round = 0; round < 200; ++round) {
    Window window;
    std::set<uint64_t> accepted;
    const uint64_t start = round % 2 == 0 ? 0 : random() % 100'000;
    const uint64_t count = 1 + random() % 600;
    for (uint64_t sequence = start; sequence < start + count; ++sequence)
      if (random() % 4 != 0 && window.accept(sequence) == ReplayVerdict::kFresh)
        accepted.insert(sequence);
    if (accepted.empty()) continue;
    const auto told = decode_reports(encode_reports(std::vector{report_of(window)}));
    ASSERT_TRUE(told && told->size() == 1);
    const uint64_t highest = *accepted.rbegin();
    const uint64_t oldest = highest + 1 - std::min(highest + 1, uint64_t{kReportedHoles});
    for (uint64_t sequence = std::max(start, oldest); sequence < start + count + 10; ++sequence) {
      ASSERT_EQ(told->front().receipt(LaneId{3}, sequence) == Receipt::kReceived,
                accepted.contains(sequence))
          << sequence << " of " << start << "+" << count;
    }
  }
}

TEST(LaneReport, LanesWithoutRoomAreUnknown) {
  Window holey;
  for (uint64_t sequence = 0; sequence < 1'000; sequence += 2) holey.accept(sequence);
  LaneReport all{kIndex, true, {}};
  for (uint16_t lane = 0; lane < kMaxLanes; ++lane) add_lane(all, LaneId{lane}, holey);
  const auto bytes = encode_reports(std::vector{all});
  EXPECT_LE(bytes.size(), kMaxReportBytes);
  const auto told = decode_reports(bytes);
  ASSERT_TRUE(told && told->size() == 1);
  EXPECT_FALSE(told->front().complete);
  EXPECT_EQ(told->front().receipt(LaneId{0}, 998), Receipt::kReceived);
  EXPECT_EQ(told->front().receipt(LaneId{0}, 997), Receipt::kMissing);
  EXPECT_EQ(told->front().receipt(LaneId{kMaxLanes - 1}, 998), Receipt::kUnknown);
}

TEST(LaneReport, ManyLanesWithoutHolesHaveRoom) {
  Window full;
  for (uint64_t sequence = 0; sequence < 300; ++sequence) full.accept(sequence);
  LaneReport all{kIndex, true, {}};
  for (uint16_t lane = 0; lane < 24; ++lane) add_lane(all, LaneId{lane}, full);
  EXPECT_EQ(decode_reports(encode_reports(std::vector{all})), std::vector{all});
}

TEST(LaneReport, RefusesWhatIsNone) {
  Window window;
  window.accept(5);
  const auto good = encode_reports(std::vector{report_of(window)});
  for (size_t bytes = 1; bytes < good.size(); ++bytes)
    EXPECT_FALSE(decode_reports(std::span(good).first(bytes))) << bytes;
  EXPECT_TRUE(decode_reports({})->empty());
  struct Case {
    const char* name;
    size_t at;
    uint8_t value;
  };
  for (const Case& each :
       {Case{"more lanes than there are", 4, 2}, Case{"more words than there may be", 10, 5},
        Case{"a next that no sequence has", 19, 0xff},
        Case{"a lane that nothing came on", 12, 0}}) {
    auto bad = good;
    bad[each.at] = each.value;
    EXPECT_FALSE(decode_reports(bad)) << each.name;
  }
  std::vector<uint8_t> many;
  for (size_t i = 0; i < kReportedIndices; ++i) many.insert(many.end(), good.begin(), good.end());
  EXPECT_TRUE(decode_reports(many));
  many.insert(many.end(), good.begin(), good.end());
  EXPECT_FALSE(decode_reports(many)) << "of more indices than packets can be held under";
}

}  // namespace
}  // namespace jvpn
