// What a gateway runs out of becomes a flag of health, and each flag two events: when it is raised,
// and when it is gone.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/gateway/exhaustion_watch.h"
#include "control/gateway/health_watch.h"
#include "control/gateway/silent_ports.h"

namespace jvpn::test {
namespace {

using gateway::Bounded;
using gateway::BusySeconds;
using gateway::ExhaustionWatch;
using gateway::HealthFlags;
using gateway::HealthWatch;
using gateway::Severity;
using gateway::SilentPorts;

std::vector<std::string> names_of(const ExhaustionWatch& watch) {
  HealthFlags flags;
  watch.look(flags);
  std::vector<std::string> names;
  for (const auto& flag : flags.all()) names.emplace_back(flag.name);
  return names;
}

/// Each thing that is bounded, and its flag.
struct Exhausted {
  Bounded bounded;
  const char* flag;
};
constexpr Exhausted kExhausted[] = {
    {Bounded::kTransmitRings, "transmit_full"},
    {Bounded::kControlRings, "control_rings_full"},
    {Bounded::kWorkerRings, "worker_rings_full"},
    {Bounded::kControlPackets, "control_packets_out"},
    {Bounded::kWaitingPackets, "waiting_full"},
    {Bounded::kNeighbors, "neighbors_full"},
    {Bounded::kEvents, "events_lost"},
    {Bounded::kControlCore, "control_busy"},
};
static_assert(std::size(kExhausted) == gateway::kBounded);

TEST(ExhaustionWatch, RaisesEachFlagUntilNothingWasRefusedForAWhile) {
  for (const Exhausted& each : kExhausted) {
    ExhaustionWatch watch;
    ExhaustionWatch::Totals totals{};
    uint64_t& total = totals[static_cast<size_t>(each.bounded)];
    Millis now{1'000};
    const auto look = [&] { watch.poll(now, [&] { return totals; }); };
    look();
    EXPECT_TRUE(names_of(watch).empty()) << each.flag;
    total = 7;
    now = now + ExhaustionWatch::kLook;
    look();
    EXPECT_EQ(names_of(watch), std::vector<std::string>{each.flag});
    HealthFlags flags;
    watch.look(flags);
    EXPECT_EQ(flags.all()[0].count, 7U);
    EXPECT_EQ(flags.all()[0].what.rfind("7 ", 0), 0U) << flags.all()[0].what;
    now = now + ExhaustionWatch::kQuiet - Millis{1};
    look();
    EXPECT_EQ(names_of(watch).size(), 1U) << each.flag;
    now = now + ExhaustionWatch::kLook;
    look();
    EXPECT_TRUE(names_of(watch).empty()) << each.flag;
    total = 9;
    now = now + ExhaustionWatch::kLook;
    look();
    flags = {};
    watch.look(flags);
    ASSERT_EQ(flags.all().size(), 1U);
    EXPECT_EQ(flags.all()[0].count, 2U) << "a new time counts anew";
  }
}

TEST(ExhaustionWatch, AsksOnceASecond) {
  ExhaustionWatch watch;
  int asked = 0;
  for (uint64_t ms = 5'000; ms < 8'000; ms += 10) {
    watch.poll(Millis{ms}, [&] {
      ++asked;
      return ExhaustionWatch::Totals{};
    });
  }
  EXPECT_EQ(asked, 3);
}

TEST(BusySeconds, CountsThoseThatWereBusyThroughout) {
  BusySeconds busy;
  EXPECT_EQ(busy.note(Millis{10'000}, 9'000'000), 0U) << "nothing is known of the time before";
  EXPECT_EQ(busy.note(Millis{11'000}, 9'890'000), 0U) << "890 ms";
  EXPECT_EQ(busy.note(Millis{12'000}, 10'800'000), 1U) << "910 ms";
  EXPECT_EQ(busy.note(Millis{14'000}, 12'700'000), 2U) << "1.9 of 2 s";
  EXPECT_EQ(busy.note(Millis{14'000}, 12'700'000), 2U);
}

/// Ports as they are after each second: heard or not, asked or not.
class SilentPortsTest : public testing::Test {
 protected:
  SilentPortsTest() { pass(1, {0, 1}, {}); }
  void pass(int seconds, std::vector<size_t> heard, std::vector<size_t> asked) {
    for (int i = 0; i < seconds; ++i) {
      now_ = now_ + SilentPorts::kLook;
      for (const size_t port : heard) ++seen_[port].received;
      for (const size_t port : asked) ++seen_[port].asked;
      ports_.poll(now_, 2, [&](size_t port) { return seen_[port]; });
    }
  }
  bool silent(size_t port) const { return ports_.is_silent(port, now_); }

  Millis now_{50'000};
  SilentPorts ports_;
  SilentPorts::Seen seen_[2] = {{true, 100, 5}, {true, 100, 5}};
};

TEST_F(SilentPortsTest, OneThatHearsNoAnswersIsTold) {
  pass(2, {1}, {0});
  EXPECT_FALSE(silent(0)) << "two questions";
  pass(1, {1}, {0});
  EXPECT_TRUE(silent(0));
  EXPECT_FALSE(silent(1));
  HealthFlags flags;
  ports_.look(flags, now_, [](size_t port) { return port == 0 ? "wan0" : "lan0"; });
  ASSERT_EQ(flags.all().size(), 1U);
  EXPECT_STREQ(flags.all()[0].name, "port_silent");
  EXPECT_NE(flags.all()[0].what.find("port wan0 has a link, and nothing has come in by it for 3 s, "
                                     "though 3 questions"),
            std::string::npos)
      << flags.all()[0].what;
  pass(1, {0}, {0});
  EXPECT_FALSE(silent(0)) << "it hears again";
}

TEST_F(SilentPortsTest, AQuietOneIsNotSilent) {
  pass(600, {1}, {});
  EXPECT_FALSE(silent(0)) << "nobody was asked";
  pass(600, {}, {0});
  EXPECT_TRUE(silent(0)) << "the other one heard something since";
}

TEST_F(SilentPortsTest, WhenAllAreSilentItIsNoPortsFault) {
  pass(60, {}, {0, 1});
  EXPECT_FALSE(silent(0));
  EXPECT_FALSE(silent(1));
}

TEST_F(SilentPortsTest, WithoutALinkItIsDownAndItsReturnBeginsAnew) {
  seen_[0].link_up = false;
  pass(60, {1}, {0});
  EXPECT_FALSE(silent(0)) << "that is port_down";
  seen_[0].link_up = true;
  pass(3, {1}, {0});
  EXPECT_FALSE(silent(0));
  pass(2, {1}, {0});
  EXPECT_TRUE(silent(0));
}

/// A watch that is told of the flags `raised`.
class HealthEvents : public testing::Test {
 protected:
  /// At `ms`; what it tells, as `raised NAME` or `cleared NAME MS`.
  std::vector<std::string> look(uint64_t ms) {
    std::vector<std::string> told;
    watch_.poll(
        Millis{ms}, 3, [&] { return raised_; },
        [&](const session::Event& event) {
          EXPECT_EQ(event.kind, session::EventKind::kHealthEvent);
          EXPECT_EQ(event.policy_version, 3U);
          EXPECT_EQ(event.peer, session::kNoPeer);
          told.push_back(event.reason == Reason::kHealthRaised
                             ? std::string("raised ") + event.check
                             : std::string("cleared ") + event.check + " " +
                                   std::to_string(event.duration_ms.value()));
          counts_.push_back(event.count);
        });
    return told;
  }
  using Told = std::vector<std::string>;

  HealthWatch watch_;
  HealthFlags raised_;
  std::vector<std::optional<uint64_t>> counts_;
};

TEST_F(HealthEvents, EachFlagIsToldWhenItComesAndWhenItIsGone) {
  EXPECT_EQ(look(1'000), Told{});
  raised_.raise("no_link", Severity::kFailed, "a");
  raised_.raise("events_lost", Severity::kDegraded, "b", 5);
  EXPECT_EQ(look(2'000), (Told{"raised no_link", "raised events_lost"}));
  EXPECT_EQ(look(3'000), Told{});
  raised_ = {};
  raised_.raise("events_lost", Severity::kDegraded, "b", 8);
  EXPECT_EQ(look(12'000), Told{"cleared no_link 10000"});
  raised_ = {};
  EXPECT_EQ(look(30'000), Told{"cleared events_lost 28000"});
  const std::vector<std::optional<uint64_t>> counts{std::nullopt, 5, std::nullopt, 8};
  EXPECT_EQ(counts_, counts);
}

TEST_F(HealthEvents, SeveralOfOneNameAreOne) {
  raised_.raise("thread_stalled", Severity::kFailed, "worker 0");
  raised_.raise("thread_stalled", Severity::kFailed, "worker 1");
  EXPECT_EQ(look(1'000), Told{"raised thread_stalled"});
}

TEST_F(HealthEvents, AFlappingFlagFillsNoLog) {
  size_t told = 0;
  for (uint64_t second = 1; second <= 60; ++second) {
    raised_ = {};
    if (second % 2 == 0) raised_.raise("port_down", Severity::kDegraded, "wan1");
    told += look(second * 1'000).size();
  }
  EXPECT_GE(told, 2U);
  EXPECT_LE(told, 12U);
}

}  // namespace
}  // namespace jvpn::test
