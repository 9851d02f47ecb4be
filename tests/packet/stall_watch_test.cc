// A thread that stands still is noticed, named with its place, and noticed again when it goes on.
#include "control/gateway/stall_watch.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

/// Outside any namespace, and never inlined: the name that is looked for.
[[gnu::noinline]] void turn_for_ever(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

namespace jvpn::gateway {
namespace {

using std::chrono::milliseconds;

/// Runs `body` on a thread until it is destroyed.
class Busy {
 public:
  explicit Busy(bool deaf = false) {
    thread_ = std::thread([this, deaf] {
      sigset_t all;
      sigfillset(&all);
      if (deaf) pthread_sigmask(SIG_SETMASK, &all, nullptr);
      number_.store(gettid());
      turn_for_ever(stop_);
    });
    while (number_.load() == 0) std::this_thread::yield();
  }
  ~Busy() {
    stop_.store(true);
    thread_.join();
  }
  pid_t number() const { return number_.load(); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<pid_t> number_{0};
  std::thread thread_;
};

class StallWatchTest : public testing::Test {
 protected:
  StallWatchTest()
      : watch_(
            {{"worker 7", "its queues wait", [this] { return progress_; },
              [this] { return thread_; }}},
            [this](const std::string& line) { news_.push_back(line); }, [this] { ++alive_; }) {}

  /// So long passes, in the watch's steps.
  void pass(milliseconds time, bool moves) {
    for (const auto until = now_ + time; now_ < until;) {
      now_ += StallWatch::kInterval;
      progress_ += moves ? 1 : 0;
      watch_.look(now_);
    }
  }

  StallWatch::Clock::time_point now_ = StallWatch::Clock::now();
  uint64_t progress_ = 1;
  pid_t thread_ = 0;
  unsigned alive_ = 0;
  std::vector<std::string> news_;
  StallWatch watch_;
};

TEST_F(StallWatchTest, AThreadThatMovesIsNoNews) {
  const Busy busy;
  thread_ = busy.number();
  pass(milliseconds(5'000), true);
  EXPECT_TRUE(news_.empty());
  EXPECT_GE(alive_, 45U);
}

TEST_F(StallWatchTest, OneThatStandsStillIsNamedOnceWithItsPlaceAndWhenItGoesOn) {
  const Busy busy;
  thread_ = busy.number();
  pass(milliseconds(500), true);
  pass(milliseconds(900), false);
  EXPECT_TRUE(news_.empty()) << news_.front();
  pass(milliseconds(4'100), false);
  ASSERT_EQ(news_.size(), 1U);
  EXPECT_NE(news_[0].find("worker 7 has stood still for 1.0 s"), std::string::npos) << news_[0];
  EXPECT_NE(news_[0].find("turn_for_ever+0x"), std::string::npos) << news_[0];
  EXPECT_NE(news_[0].find("its queues wait"), std::string::npos) << news_[0];
  EXPECT_NE(watch_.stalled_since_ms(0), 0U);
  const unsigned alive = alive_;
  pass(milliseconds(500), false);
  EXPECT_EQ(alive_, alive) << "the service manager mustn't hear that all is well";
  pass(milliseconds(200), true);
  ASSERT_EQ(news_.size(), 2U);
  EXPECT_NE(news_[1].find("worker 7 goes on after 5."), std::string::npos) << news_[1];
  EXPECT_EQ(watch_.stalled_since_ms(0), 0U);
  EXPECT_GT(alive_, alive);
}

TEST_F(StallWatchTest, AProcessThatStoodStillBlamesNoThread) {
  const Busy busy;
  thread_ = busy.number();
  pass(milliseconds(500), true);
  now_ += milliseconds(10'000);
  pass(milliseconds(900), false);  // it needs a moment, too
  ASSERT_EQ(news_.size(), 1U);
  EXPECT_NE(news_[0].find("as a whole stood still for 10."), std::string::npos) << news_[0];
}

TEST_F(StallWatchTest, AThreadThatHasNotStartedIsNotBlamed) {
  pass(milliseconds(5'000), false);
  EXPECT_TRUE(news_.empty());
}

TEST_F(StallWatchTest, OneThatTakesNoSignalIsToldBySystemsState) {
  const Busy deaf(true);
  thread_ = deaf.number();
  pass(milliseconds(2'000), false);
  ASSERT_EQ(news_.size(), 1U);
  EXPECT_NE(news_[0].find("takes no signal"), std::string::npos) << news_[0];
}

TEST_F(StallWatchTest, AnEndThatTakesTooLongIsOverdue) {
  std::atomic<bool> overdue{false};
  watch_.start();
  watch_.expect_end(milliseconds(1), [&overdue] { overdue.store(true); });
  while (!overdue.load()) std::this_thread::yield();
}

}  // namespace
}  // namespace jvpn::gateway
