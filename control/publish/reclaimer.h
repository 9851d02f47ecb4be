// Frees what workers may still be reading, once every one of them has passed a quiescent state.
// Control thread only; it is no reader of the RCU variable itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include <rte_rcu_qsbr.h>

namespace jvpn::publish {

class Reclaimer {
 public:
  /// More than one turn of control retires, so that they don't pile up; far below a millisecond.
  static constexpr size_t kAtOnce = 512;

  /// Looks, kBetweenLooks apart, after which a worker stands still: it is between two bursts far
  /// more often. Time in which control itself stood still doesn't count.
  static constexpr unsigned kLooks = 10'000;
  static constexpr std::chrono::microseconds kBetweenLooks{100};

  /// At most `bound` deferred frees; one more waits for a grace period on the spot.
  explicit Reclaimer(rte_rcu_qsbr* rcu, size_t bound = 65'536) : rcu_(rcu), bound_(bound) {}
  /// Called instead of waiting for more than kLooks on the spot: some worker stands still, and no
  /// more memory may wait for it. It doesn't return. Without one it waits as long as it takes.
  void on_stuck(std::function<void()> end) { stuck_ = std::move(end); }
  /// Waits for a grace period if anything is still deferred.
  ~Reclaimer();
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  /// Runs `free` after a grace period that begins now: call it after the store that hides the
  /// object.
  void defer(std::function<void()> free);
  /// Runs what is due, at most kAtOnce of it. Never waits.
  void reclaim();
  /// Waits for a grace period and runs everything.
  void flush();
  size_t pending() const { return deferred_.size(); }

 private:
  void make_room();
  struct Deferred {
    uint64_t token;
    std::function<void()> free;
  };
  rte_rcu_qsbr* rcu_;
  size_t bound_;
  std::deque<Deferred> deferred_;
  std::function<void()> stuck_;
};

}  // namespace jvpn::publish
