#include "control/events/event_log.h"

#include <algorithm>
#include <mutex>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/admin/event_admin.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

using Lines = std::vector<std::string>;

class EventLogTest : public EventFolder {};

TEST(EventRing, TakesItsCapacityAndNoMore) {
  EventRing ring(60);
  ASSERT_EQ(ring.capacity(), 64U);
  StampedEvent event;
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 64; ++i) EXPECT_TRUE(ring.push({some_event(i), i, 0}));
    EXPECT_FALSE(ring.push({some_event(), 64, 0}));
    for (uint64_t i = 0; i < 64; ++i) {
      ASSERT_TRUE(ring.pop(event));
      EXPECT_EQ(event.sequence, i);
      EXPECT_EQ(event.event.at, Millis{i});
    }
    EXPECT_FALSE(ring.pop(event));
  }
}

TEST(EventRing, TwoThreadsAgree) {
  EventRing ring(64);
  constexpr uint64_t kEvents = 20'000;
  std::thread producer([&] {
    for (uint64_t i = 1; i <= kEvents; ++i)
      while (!ring.push({some_event(i), i, 0})) std::this_thread::yield();
  });
  StampedEvent event;
  for (uint64_t i = 1; i <= kEvents; ++i) {
    while (!ring.pop(event)) std::this_thread::yield();
    ASSERT_EQ(event.sequence, i);
    ASSERT_EQ(event.event.at, Millis{i});
  }
  producer.join();
}

TEST_F(EventLogTest, LinesAreNumberedAndDated) {
  EventLog log(options_with({file("log")}));
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  log.add(some_event(7));
  log.add(some_event(8));
  log.close();
  const auto lines = lines_of("log");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["seq"], 1);
  EXPECT_EQ(lines[1]["seq"], 2);
  EXPECT_EQ(lines[1]["boot_ms"], 8);
  EXPECT_EQ(lines[0]["node_id"], "n1");
  EXPECT_EQ(lines[0]["event"], "KEY_EVENT");
  EXPECT_GE(lines[0]["ts_ms"],
            std::chrono::duration_cast<std::chrono::milliseconds>(before).count());
}

/// Of the sink thread, which sleeps once it has written the one before.
TEST_F(EventLogTest, AnEventIsWrittenThoughNoneFollows) {
  EventLog log(options_with({file("log")}));
  log.start();
  for (uint64_t i = 1; i <= 50; ++i) {
    log.add(some_event(i));
    ASSERT_TRUE(comes_true([&] { return log.status().written == i; })) << i;
  }
}

TEST_F(EventLogTest, SeveralAreWrittenByOneCallThoughNoneFollows) {
  EventLog log(options_with({file("log")}));
  log.start();
  for (uint64_t i = 1; i <= 50; ++i) {
    for (uint64_t n = 0; n < 7; ++n) log.put(some_event(i));
    log.wake();
    ASSERT_TRUE(comes_true([&] { return log.status().written == 7 * i; })) << i;
    log.wake();  // nothing is new
  }
  log.close();
  uint64_t lost = 0;
  expect_complete(lines_of("log"), 350, lost);
  EXPECT_EQ(lost, 0U);
}

TEST_F(EventLogTest, WhatWasPutIsWrittenAtTheEnd) {
  EventLog log(options_with({file("log")}));
  log.start();
  log.put(some_event());
  log.close();
  EXPECT_EQ(lines_of("log").size(), 1U);
}

TEST_F(EventLogTest, AFullRingLosesCountsAndTells) {
  EventLog log(options_with({file("log")}, 64));
  for (uint64_t i = 1; i <= 100; ++i) log.add(some_event(i));  // nobody takes any yet
  log.start();
  ASSERT_TRUE(comes_true([&] { return log.status().lost != 0; }));
  log.add(some_event(101));
  log.close();
  uint64_t lost = 0;
  expect_complete(lines_of("log"), 101, lost);
  EXPECT_EQ(lost, 36U);
  EXPECT_EQ(lines_of("log")[64]["reason"], "EVENTS_LOST");
  EXPECT_EQ(lines_of("log")[64]["policy_version"], 3);
  EXPECT_EQ(log.status().lost, 36U);
  EXPECT_EQ(log.status().written, 65U);
  EXPECT_EQ(log.status().sinks[0].written, 65U);
  EXPECT_EQ(log.status().sinks[0].lost, 36U);
}

TEST_F(EventLogTest, ALossAtTheVeryEndIsToldToo) {
  EventLog log(options_with({file("log")}, 64));
  for (uint64_t i = 1; i <= 70; ++i) log.add(some_event(i));
  log.close();
  uint64_t lost = 0;
  expect_complete(lines_of("log"), 70, lost);
  EXPECT_EQ(lost, 6U);
}

TEST_F(EventLogTest, WithoutSinksTheLatestLinesAreKept) {
  EventLog log(options_with({}));
  for (uint64_t i = 1; i <= EventLog::kKeptLines + 500; ++i) log.add(some_event(i));
  log.close();
  EventCursor cursor;
  std::vector<TakenLine> lines;
  ASSERT_TRUE(log.lines().latest(5'000, cursor));
  ASSERT_TRUE(log.lines().read(cursor, 5'000, lines));
  ASSERT_EQ(lines.size(), EventLog::kKeptLines);
  EXPECT_EQ(lines[0].line->sequence, 501U);
  EXPECT_EQ(lines[0].missed, 0U);
  EXPECT_TRUE(log.status().healthy);
  EXPECT_EQ(log.status().lost, 0U);
}

TEST_F(EventLogTest, ASinkThatFallsBehindLearnsWhatItMissed) {
  EventLines lines(2, 4);
  const size_t reader = lines.add_reader();
  for (uint64_t i = 1; i <= 9; ++i) lines.push({i, 0, 1, std::to_string(i)});
  EXPECT_EQ(lines.lost(reader), 5U);
  EXPECT_TRUE(lines.misses(reader));
  const TakenLine taken = lines.take(reader);
  EXPECT_EQ(taken.line->sequence, 6U);
  EXPECT_EQ(taken.missed, 5U);
  EXPECT_EQ(lines.lost(reader), 5U);
  EXPECT_FALSE(lines.misses(reader));
  EXPECT_EQ(lines.take(reader).missed, 0U);
}

TEST_F(EventLogTest, LossLinesThatWereMissedCountAllTheyTold) {
  EventLines lines(1, 2);
  const size_t reader = lines.add_reader();
  lines.push({1, 0, 1, "1"});
  lines.push({5, 4, 1, "2 to 5 are lost"});
  lines.push({6, 0, 1, "6"});
  lines.push({7, 0, 1, "7"});
  EXPECT_EQ(lines.lost(reader), 5U);
  EXPECT_EQ(lines.take(reader).missed, 5U);
  lines.push({9, 2, 1, "8 and 9 are lost"});
  EXPECT_EQ(lines.take(reader).missed, 0U);
  EXPECT_EQ(lines.take(reader).missed, 0U);
  EXPECT_EQ(lines.lost(reader), 7U);
}

TEST_F(EventLogTest, AFollowerIsWokenAndToldWhatItMissed) {
  EventLines lines(2, 2);
  EventCursor cursor;
  ASSERT_TRUE(lines.latest(10, cursor));
  lines.follow(true);
  for (uint64_t i = 1; i <= 5; ++i) lines.push({i, 0, 1, "x"});
  char unused[8];
  EXPECT_EQ(::read(lines.descriptor(), unused, sizeof unused), 8);
  std::vector<TakenLine> taken;
  ASSERT_TRUE(lines.read(cursor, 10, taken));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].missed, 3U);
  EXPECT_EQ(taken[1].missed, 0U);
  lines.follow(false);
  lines.push({6, 0, 1, "x"});
  EXPECT_LT(::read(lines.descriptor(), unused, sizeof unused), 0);
}

TEST_F(EventLogTest, ADeadSinkIsShownWithItsReason) {
  std::mutex mutex;
  Lines reports;
  EventLogOptions options = options_with({file("none/log"), file("log")});
  options.report = [&](const std::string& news) {
    const std::scoped_lock lock(mutex);
    reports.push_back(news);
  };
  EventLog log(options);
  log.start();
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return !log.status().healthy; }));
  ASSERT_TRUE(comes_true([&] { return log.status().sinks[1].written == 1; }));
  const auto shown = show_events(log.status());
  EXPECT_EQ(shown["healthy"], false);
  EXPECT_EQ(shown["sinks"][0]["kind"], "file");
  EXPECT_EQ(shown["sinks"][0]["target"], path("none/log"));
  EXPECT_EQ(shown["sinks"][0]["healthy"], false);
  EXPECT_EQ(shown["sinks"][0]["why"], "No such file or directory");
  EXPECT_EQ(shown["sinks"][1]["healthy"], true);
  EXPECT_FALSE(shown["sinks"][1].contains("why"));
  std::filesystem::create_directory(path("none"));
  ASSERT_TRUE(comes_true([&] { return log.status().healthy; }));
  EXPECT_EQ(lines_of("none/log").size(), 1U);
  log.close();
  const std::string name = "event sink file " + path("none/log");
  EXPECT_EQ(reports, (Lines{name + ": No such file or directory",
                            name + ": well again, 0 events lost so far"}));
}

}  // namespace
}  // namespace jvpn::test
