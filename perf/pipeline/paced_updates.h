// What the control core publishes, at a steady pace, while a worker is measured: in some phases
// updates that the worker feels, in the others none, on a core that is equally busy. So both kinds
// of phases have the same neighbour, where two CPUs share one core.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "perf/pipeline/packet_slices.h"

namespace jvpn::perf {

class PacedUpdates {
 public:
  struct Work {
    std::function<bool(bool felt)> update;  ///< false: there was nothing to publish
    std::function<bool()> clean_up;         ///< every turn; true: no update has an effect any more
  };
  /// The pace follows `time`, the worker's own: while its packets are prepared nothing is
  /// published, as if it were never interrupted. Without: the wall clock.
  PacedUpdates(Worker& worker, uint32_t per_second, const WorkerTime* time, Work work)
      : worker_(worker),
        time_(time),
        work_(std::move(work)),
        interval_(rte_get_tsc_hz() / per_second),
        due_(clock()) {}

  /// Control thread, again and again: publishes when it is time.
  void turn() {
    const uint64_t now = clock();
    if (const bool wanted = wanted_.load(std::memory_order_acquire); wanted != felt_) {
      if (felt_) felt_cycles_ += now - felt_since_;
      felt_since_ = now;
      felt_ = wanted;
    }
    if (now >= due_) {
      due_ = std::max(due_ + interval_, now - std::min(now, kMostBehind * interval_));
      const uint64_t begun = rte_rdtsc();
      if (work_.update(felt_)) {
        spent_ += rte_rdtsc() - begun;
        ++updates_;
        felt_updates_ += felt_ ? 1 : 0;
      }
    }
    if (work_.clean_up() || felt_) directed_.store(felt_, std::memory_order_release);
    rte_pause();
  }

  /// Worker's lcore: from now on updates are felt, or not. Returns when it is so; polls meanwhile.
  void direct(bool felt) {
    wanted_.store(felt, std::memory_order_release);
    while (directed_.load(std::memory_order_acquire) != felt) worker_.poll_once();
  }

  /// Felt updates for each second of the clock that they follow.
  double per_second() const {
    const uint64_t cycles = felt_cycles_ + (felt_ ? clock() - felt_since_ : 0);
    return cycles == 0 ? 0 : static_cast<double>(felt_updates_) / seconds(cycles);
  }
  /// Mean time of the control core for an update.
  double publish_us() const {
    return updates_ == 0 ? 0 : seconds(spent_) * 1e6 / static_cast<double>(updates_);
  }

 private:
  static constexpr uint64_t kMostBehind = 100;  ///< updates to catch up with after a pause

  static double seconds(uint64_t cycles) {
    return static_cast<double>(cycles) / static_cast<double>(rte_get_tsc_hz());
  }
  uint64_t clock() const { return time_ == nullptr ? rte_rdtsc() : time_->at(rte_rdtsc()); }

  Worker& worker_;
  const WorkerTime* time_;
  Work work_;
  uint64_t interval_;
  uint64_t due_;
  bool felt_ = false;
  uint64_t felt_since_ = 0;
  uint64_t felt_cycles_ = 0;
  uint64_t felt_updates_ = 0;
  uint64_t spent_ = 0;
  uint64_t updates_ = 0;
  alignas(64) std::atomic<bool> wanted_{false};  ///< writer: the worker's lcore
  alignas(64) std::atomic<bool> directed_{false};
};

}  // namespace jvpn::perf
