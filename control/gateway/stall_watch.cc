#include "control/gateway/stall_watch.h"

#include <utility>

#include <fmt/format.h>

#include "common/assert.h"
#include "control/session/system_sources.h"

namespace jvpn::gateway {
namespace {

/// A look that is later than that wasn't kept by the others: the machine or the process stood
/// still.
constexpr std::chrono::milliseconds kLate = StallWatch::kPatience / 2;

double seconds(StallWatch::Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

StallWatch::StallWatch(std::vector<WatchedThread> threads,
                       std::function<void(const std::string&)> news, std::function<void()> all_move)
    : threads_(std::move(threads)),
      seen_(threads_.size()),
      news_(std::move(news)),
      all_move_(std::move(all_move)) {}

StallWatch::~StallWatch() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ends_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StallWatch::start() {
  JVPN_ASSERT(!thread_.joinable(), "it starts once");
  thread_ = std::thread([this] { run(); });
}

void StallWatch::expect_end(Clock::duration limit, std::function<void()> overdue) {
  const std::lock_guard lock(mutex_);
  end_limit_ = Clock::now() + limit;
  overdue_ = std::move(overdue);
}

void StallWatch::run() {
  pthread_setname_np(pthread_self(), "jvpn-watch");
  std::unique_lock lock(mutex_);
  while (!ends_.wait_for(lock, kInterval, [this] { return ending_; })) {
    const Clock::time_point now = Clock::now();
    if (!overdue_)
      look(now);
    else if (now > end_limit_)
      return overdue_();
  }
}

void StallWatch::look(Clock::time_point now) {
  if (excused(now)) return;
  bool all = true;
  for (size_t number = 0; number < threads_.size(); ++number) {
    look_at(number, now);
    all = all && stalled_since_ms(number) == 0;
  }
  if (all) all_move_();
}

bool StallWatch::excused(Clock::time_point now) {
  const bool first = looked_ == Clock::time_point{};
  const Clock::duration since = now - std::exchange(looked_, now);
  if (!first && since < kLate) return false;
  for (Seen& seen : seen_) seen.moved = now;
  if (!first) news_(fmt::format("jvpnd as a whole stood still for {:.1f} s", seconds(since)));
  return true;
}

void StallWatch::look_at(size_t number, Clock::time_point now) {
  const WatchedThread& watched = threads_[number];
  Seen& seen = seen_[number];
  const uint64_t progress = watched.progress();
  const bool stalled = stalled_since_ms(number) != 0;
  if (std::exchange(seen.progress, progress) != progress) {
    if (stalled)
      news_(fmt::format("{} goes on after {:.1f} s", watched.name, seconds(now - seen.moved)));
    seen.moved = now;
    seen.stalled_since_ms.store(0, std::memory_order_relaxed);
    return;
  }
  const pid_t thread = watched.thread();
  const Clock::duration still = now - seen.moved;
  if (stalled || thread == 0 || still < kPatience) return;
  const auto still_ms = std::chrono::duration_cast<std::chrono::milliseconds>(still).count();
  seen.stalled_since_ms.store(session::boottime_now().value - static_cast<uint64_t>(still_ms),
                              std::memory_order_relaxed);
  news_(fmt::format("{} has stood still for {:.1f} s: {}. {}", watched.name, seconds(still),
                    places_.of(thread), watched.harm));
}

uint64_t StallWatch::stalled_since_ms(size_t number) const {
  return seen_[number].stalled_since_ms.load(std::memory_order_relaxed);
}

}  // namespace jvpn::gateway
