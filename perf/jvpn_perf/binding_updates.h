// Binding updates at a steady pace, through the shipping publisher: to the worker's own tables, or
// to a twin of them that nobody reads. The work is the same, so both kinds of slices have an
// equally busy neighbour, and only what the worker feels of the updates differs.
//
// The pace follows the worker's time: while its packets are prepared, nothing is published, as if
// it were never interrupted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "common/result.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "perf/jvpn_perf/bench_rig.h"
#include "perf/jvpn_perf/packet_slices.h"

namespace jvpn::perf {

class BindingUpdates {
 public:
  /// Attaches the twin's sessions. `rig` and `time` outlive it. Control thread.
  static Result<std::unique_ptr<BindingUpdates>> create(BenchRig& rig, const WorkerTime& time,
                                                        uint32_t updates_per_second);
  /// DPDK's memory that the twin takes, and records that wait for their grace period.
  static size_t megabytes(const BenchRig::Options& options);

  /// Control thread, again and again: publishes when it is time, reclaims.
  void turn();
  /// Worker's lcore: from now on updates go to the worker's tables, or to the twin. Returns when
  /// they do; polls the worker meanwhile.
  void direct(bool to_worker);

  /// Updates of the worker's tables for each second of the worker's time in those slices.
  double per_second() const;
  /// Mean time of the control core for an update.
  double publish_us() const;

 private:
  /// A publisher with its tables and sessions.
  struct Target {
    publish::Publisher* publisher = nullptr;
    const BenchSessions* sessions = nullptr;
    publish::Reclaimer* reclaimer = nullptr;
    uint64_t updates = 0;
    uint64_t first_cycles = 0;   ///< of the worker's time, when its latest turn began
    uint64_t worker_cycles = 0;  ///< in its turns before
  };
  BindingUpdates(BenchRig& rig, const WorkerTime& time, uint32_t updates_per_second);
  Result<void> make_twin();
  void change_over(bool to_worker, uint64_t worker_cycles);
  void update(Target& target);

  BenchRig& rig_;
  const WorkerTime& time_;
  uint64_t interval_;
  uint64_t most_behind_;  ///< that it catches up with when it was off its CPU
  std::unique_ptr<SessionTable> twin_table_;
  std::unique_ptr<publish::Reclaimer> twin_reclaimer_;
  std::unique_ptr<publish::Publisher> twin_publisher_;
  std::unique_ptr<BenchSessions> twin_sessions_;
  Target worker_;
  Target twin_;
  bool to_worker_ = false;
  uint64_t due_ = 0;
  uint32_t next_ = 0;
  uint32_t binding_ = 1;
  uint64_t spent_ = 0;
  uint64_t updates_ = 0;
  alignas(64) std::atomic<bool> wanted_{false};  ///< writer: the worker's lcore
  alignas(64) std::atomic<bool> directed_{false};
};

}  // namespace jvpn::perf
