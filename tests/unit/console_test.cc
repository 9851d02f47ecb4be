// What the console knows: when a session is proven, what is bounded, and who may look.
#include "tools/jvpn/console/console.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/console/console_page.h"
#include "tools/jvpn/console/web.h"

namespace jvpn::console {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kId = "00000000000000000000000000000001";
constexpr size_t kStandingColumn = 2;
constexpr size_t kRxColumn = 11;

Json session_with(const Json& changes, const std::string& id = kId) {
  Json session{{"session_id", id},  {"peer", "laptop"},       {"state", "ATTACHED"},
               {"reason", "x"},     {"local", "192.0.2.1:1"}, {"remote", "192.0.2.2:2"},
               {"rx_bytes", 1'000}, {"last_rx_ms_ago", 100},  {"idle", false},
               {"switches", 0},     {"rtt_us", 1'234}};
  if (changes.is_object()) session.update(changes);
  return session;
}

Json page_of(const Json& sessions) {
  return {{"heartbeat_interval_ms", 500}, {"sessions", sessions}};
}

EventRecord change(session::State to, const std::string& id = kId) {
  EventRecord event;
  event.kind = session::EventKind::kStateChange;
  event.session = id;
  event.from = session::State::kAttached;
  event.to = to;
  event.reason_text = "WHY";
  return event;
}

Standing standing(const SessionRows& rows) {
  return static_cast<Standing>(rows.row(kId).at(kStandingColumn).get<int>());
}

void sweep(SessionRows& rows, const Json& sessions, Clock::time_point asked) {
  rows.begin_sweep();
  rows.take(page_of(sessions), asked);
  rows.end_sweep();
}

TEST(Console, OnlyWhatWasHeardWithinTwoHeartbeatsIsProven) {
  struct Case {
    const char* what;
    Json changes;
    Standing standing;
  };
  for (const Case& each : {
           Case{"just heard", {}, Standing::kProven},
           Case{"two heartbeats ago", {{"last_rx_ms_ago", 1'000}}, Standing::kProven},
           Case{"longer ago", {{"last_rx_ms_ago", 1'001}}, Standing::kSilent},
           Case{"by agreement", {{"last_rx_ms_ago", 1'001}, {"idle", true}}, Standing::kIdle},
           Case{"idle, but heard", {{"idle", true}}, Standing::kProven},
           Case{"never told", {{"last_rx_ms_ago", nullptr}}, Standing::kSilent},
           Case{"volatile", {{"state", "VOLATILE"}}, Standing::kIll},
           Case{"recovering", {{"state", "RECOVERING"}}, Standing::kIll},
           Case{"degraded", {{"state", "DEGRADED"}}, Standing::kIll},
           Case{"not confirmed", {{"state", "BIRTH"}}, Standing::kBegins},
       }) {
    SessionRows rows;
    sweep(rows, Json::array({session_with(each.changes)}), Clock::now());
    EXPECT_EQ(standing(rows), each.standing) << each.what;
  }
  SessionRows untold;
  untold.take({{"sessions", Json::array({session_with({})})}}, Clock::now());
  EXPECT_EQ(standing(untold), Standing::kSilent)
      << "a program that names no heartbeat proves nothing";
}

TEST(Console, AfterAChangeOnlyALaterPacketProves) {
  const Clock::time_point begin = Clock::now();
  SessionRows rows;
  sweep(rows, Json::array({session_with({})}), begin);
  rows.take_event(change(session::State::kRecovering), begin + milliseconds(50));
  EXPECT_EQ(standing(rows), Standing::kIll);
  rows.take_event(change(session::State::kAttached), begin + milliseconds(60));
  EXPECT_EQ(standing(rows), Standing::kAwaited) << "attached again, but nothing has come yet";
  sweep(rows, Json::array({session_with({{"last_rx_ms_ago", 100}})}), begin + milliseconds(120));
  EXPECT_EQ(standing(rows), Standing::kAwaited) << "that packet is older than the change";
  sweep(rows, Json::array({session_with({{"last_rx_ms_ago", 10}})}), begin + milliseconds(130));
  EXPECT_EQ(standing(rows), Standing::kProven);
  rows.take_event(change(session::State::kTerminated), begin + milliseconds(140));
  EXPECT_EQ(standing(rows), Standing::kEnded);
}

TEST(Console, ChangesAreWhatChanged) {
  const Clock::time_point begin = Clock::now();
  const std::string other = "00000000000000000000000000000002";
  SessionRows rows;
  sweep(rows, Json::array({session_with({}), session_with({}, other)}), begin);
  EXPECT_EQ(rows.changes().at("rows").size(), 2U);
  sweep(rows, Json::array({session_with({}), session_with({}, other)}), begin + milliseconds(500));
  rows.changes();  // rates are known from the second time on
  sweep(rows,
        Json::array(
            {session_with({{"last_rx_ms_ago", 120}, {"rtt_us", 1'250}}), session_with({}, other)}),
        begin + milliseconds(1'000));
  EXPECT_EQ(rows.changes().at("rows").size(), 0U) << "nobody would see the difference";
  sweep(rows, Json::array({session_with({{"rx_bytes", 2'000}})}), begin + milliseconds(1'500));
  const Json changed = rows.changes();
  ASSERT_EQ(changed.at("rows").size(), 1U);
  EXPECT_EQ(changed.at("rows").at(0).at(kRxColumn), 16'000) << "1000 bytes in half a second";
  EXPECT_EQ(changed.at("gone"), Json::array({other}));
}

TEST(Console, WhatIsKeptIsBounded) {
  SessionRows rows(2);
  Json many = Json::array();
  for (int i = 0; i < 5; ++i) many.push_back(session_with({}, std::to_string(i)));
  sweep(rows, many, Clock::now());
  EXPECT_EQ(rows.size(), 2U);
  EXPECT_TRUE(rows.refused());
  sweep(rows, many, Clock::now());
  EXPECT_EQ(rows.size(), 2U) << "those of before are met again";
  EXPECT_TRUE(rows.changes().at("gone").empty());
  many.erase(many.begin() + 2, many.end());
  sweep(rows, many, Clock::now());
  EXPECT_FALSE(rows.refused()) << "as many as are kept";

  Timeline timeline(3);
  EventRecord event = change(session::State::kRecovering);
  for (uint64_t at = 1; at <= 5; ++at) {
    event.ts_ms = at;
    timeline.add(Timeline::text_of(event));
  }
  EXPECT_EQ(timeline.latest(kId).size(), 3U);
  EXPECT_EQ(timeline.latest("").back().at(0), 5);
  EXPECT_TRUE(timeline.latest("another").empty());
  event.kind = session::EventKind::kSecurityEvent;
  EXPECT_TRUE(Timeline::text_of(event).is_null()) << "attackers could push out the rest";

  Frames frames(2, 100);
  for (const char* text : {"a", "b", "c"}) frames.add(text);
  EXPECT_FALSE(frames.at(0)) << "its reader is too slow";
  EXPECT_EQ(*frames.at(2), "c");
  EXPECT_FALSE(frames.has(3));
  frames.add(std::string(1'000, 'x'));
  EXPECT_FALSE(frames.at(2)) << "more bytes than are kept";
  EXPECT_EQ(frames.at(3)->size(), 1'000U) << "the latest one is always there";
}

TEST(Console, RatesAreOfTwoAnswersOfOneRun) {
  const Clock::time_point begin = Clock::now();
  Summary summary;
  const auto show = [](uint64_t uptime, uint64_t busy, uint64_t idle, uint64_t dropped) {
    return Json{{"uptime_ms", uptime},
                {"workers", Json::array({{{"busy_polls", busy}, {"idle_polls", idle}}})},
                {"drops", {{"bad_tag", dropped}}}};
  };
  summary.take(show(1'000, 10, 10, 4), begin);
  EXPECT_TRUE(summary.text().at("workers").at(0).at("load").is_null());
  summary.take(show(3'000, 40, 20, 10), begin + milliseconds(2'000));
  EXPECT_EQ(summary.text().at("workers").at(0).at("load"), 0.75);
  EXPECT_EQ(summary.text().at("drops"), Json::array({Json::array({"bad_tag", 10, 3.0})}));
  summary.take(show(100, 50, 30, 20), begin + milliseconds(4'000));
  EXPECT_TRUE(summary.text().at("workers").at(0).at("load").is_null()) << "another run";
  summary.fail("gone");
  EXPECT_EQ(summary.text(), (Json{{"up", false}, {"why", "gone"}}));
}

/// A program whose answers are counted.
struct Program {
  std::atomic<int> asked{0};
  Console console{[this](const Json&) -> Result<Json> {
    ++asked;
    return page_of(Json::array({session_with({})}));
  }};
};

TEST(Console, ViewersAreBoundedAndDontAskMoreOften) {
  Program program;
  EXPECT_EQ(program.asked, 0) << "nobody looks";
  std::mutex mutex;
  std::condition_variable read;
  size_t got = 0;
  std::vector<std::thread> viewers;
  const auto watch = [&] {
    int messages = 0;
    EXPECT_TRUE(program.console.watch([&](std::string_view) {
      const std::lock_guard guard(mutex);
      if (++messages == 4) ++got;
      read.notify_all();
      return true;
    }));
  };
  const auto begin = Clock::now();
  for (size_t i = 0; i < Console::kMostViewers; ++i) viewers.emplace_back(watch);
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(read.wait_for(lock, std::chrono::seconds(30),
                              [&] { return got == Console::kMostViewers; }));
  }
  EXPECT_FALSE(program.console.watch([](std::string_view) { return true; })) << "one too many";
  const auto most = 2 + (Clock::now() - begin) / Console::kEvery;
  EXPECT_LE(program.asked, most) << "as for one viewer";
  program.console.stop();
  for (std::thread& each : viewers) each.join();
}

TEST(Console, AViewerWhoDoesntReadIsDropped) {
  Program program;
  int messages = 0;
  EXPECT_TRUE(program.console.watch([&](std::string_view) { return ++messages < 2; }));
  EXPECT_EQ(messages, 2);
}

TEST(Console, OnlyAddressesAndLocalhostAreItsName) {
  for (const char* good : {"127.0.0.1", "127.0.0.1:9470", "[::1]:9470", "[::1]", "localhost",
                           "localhost:9470", "10.1.2.3:80"})
    EXPECT_TRUE(is_own_name(good)) << good;
  for (const char* bad : {"", "evil.example", "evil.example:9470", "127.0.0.1.evil.example", "[::1",
                          "[evil]:1", "localhost.evil"})
    EXPECT_FALSE(is_own_name(bad)) << bad;
  const std::vector<std::string> names{"gw1.example", ""};
  EXPECT_TRUE(is_own_name("GW1.Example:9470", names));
  EXPECT_FALSE(is_own_name("gw1", names));
  EXPECT_FALSE(is_own_name("", names));
}

TEST(Console, ThePageIsKnownByItsCookie) {
  for (const char* good : {"jvpn_console=1", "a=b; jvpn_console=1", "jvpn_console=1;c=d"})
    EXPECT_TRUE(has_page_cookie(good)) << good;
  for (const char* bad : {"", ";", "jvpn_console=12", "xjvpn_console=1", "a=jvpn_console=1", " ;"})
    EXPECT_FALSE(has_page_cookie(bad)) << bad;
}

TEST(Console, ThePageStandsAlone) {
  const std::string page(kPage);
  const std::string policy(kContentSecurityPolicy);
  for (const char* without :
       {"http://", "https://", "innerHTML", "document.write", "eval(", "/* scripts */"})
    EXPECT_EQ(page.find(without), std::string::npos) << without;
  for (const char* with : {"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-",
                           "connect-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"})
    EXPECT_NE(policy.find(with), std::string::npos) << with;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
}

}  // namespace
}  // namespace jvpn::console
