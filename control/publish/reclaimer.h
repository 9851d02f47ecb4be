// Frees what workers may still be reading, once every one of them has passed a quiescent state.
// Control thread only; it is no reader of the RCU variable itself.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include <rte_rcu_qsbr.h>

namespace jvpn::publish {

class Reclaimer {
 public:
  /// More than one turn of control retires, so that they don't pile up; far below a millisecond.
  static constexpr size_t kAtOnce = 512;

  /// At most `bound` deferred frees; one more waits for a grace period on the spot.
  explicit Reclaimer(rte_rcu_qsbr* rcu, size_t bound = 65'536) : rcu_(rcu), bound_(bound) {}
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
  struct Deferred {
    uint64_t token;
    std::function<void()> free;
  };
  rte_rcu_qsbr* rcu_;
  size_t bound_;
  std::deque<Deferred> deferred_;
};

}  // namespace jvpn::publish
