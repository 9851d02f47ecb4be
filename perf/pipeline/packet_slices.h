// Slices of a measurement on one worker's lcore: the same packets once through the shipping worker,
// once through the raw AEAD. What prepares and takes packets is never timed.
//
//   plan()      which sessions, sizes and lanes
//   pipeline()  frames into the receive ring, untimed → polls until all were taken, timed
//   raw()       the same payloads and keys, untimed → raw calls, timed
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <vector>

#include <rte_mbuf.h>
#include <rte_pause.h>

#include "common/aead.h"
#include "dataplane/stage_clock.h"
#include "perf/pipeline/bench_rig.h"
#include "perf/pipeline/frames.h"
#include "perf/pipeline/pipeline_options.h"
#include "perf/pipeline/raw_aead.h"

namespace jvpn::perf {

/// Where lcores wait for each other, so that their timed parts coincide.
class SpinBarrier {
 public:
  explicit SpinBarrier(unsigned parties) : parties_(parties) {}
  void meet() {
    const unsigned turn = turn_.load(std::memory_order_relaxed);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == parties_) {
      waiting_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    while (turn_.load(std::memory_order_acquire) == turn) rte_pause();
  }

 private:
  const unsigned parties_;
  alignas(64) std::atomic<unsigned> waiting_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};

/// Tells another thread when a worker is at work. Writer: the worker's lcore.
struct alignas(64) WorkerTime {
  std::atomic<uint64_t> since{0};  ///< TSC; 0: it is not
  std::atomic<uint64_t> spent{0};  ///< TSC cycles before that

  /// Cycles in all, as seen at `now`.
  uint64_t at(uint64_t now) const {
    const uint64_t begun = since.load(std::memory_order_acquire);
    const uint64_t before = spent.load(std::memory_order_relaxed);
    return begun == 0 || now < begun ? before : before + now - begun;
  }
};

/// Whose packets a cell's are.
enum class Team : uint8_t {
  kAll,        ///< all workers of this process
  kFirst,      ///< worker 0 alone
  kProcesses,  ///< of other processes, as many as this one has workers, the one worker of each
};

/// A kind of traffic to be measured.
struct BenchCell {
  size_t rig = 0;
  Direction direction = Direction::kSeal;
  std::vector<uint16_t> sizes;  ///< of inner packets, in equal shares
  Team team = Team::kAll;
  bool updates = false;  ///< for the crew's hook
};

class PacketSlices {
 public:
  /// Fails when the CPU can't run the AEADs. `rig` outlives it. `time`, if any, is told of pipeline
  /// slices. `library` is the worker's alone.
  static Result<std::unique_ptr<PacketSlices>> create(BenchRig& rig, const BenchCell& cell,
                                                      const BenchOptions& bench, uint16_t worker,
                                                      const IpsecMb& library, uint64_t seed,
                                                      WorkerTime* time);

  size_t packets() const { return plan_.size(); }
  void plan();
  /// Each gives TSC cycles per packet. With a barrier all its parties start every batch together.
  double pipeline(SpinBarrier* barrier);
  double raw(SpinBarrier* barrier);
  /// A pipeline slice with the stage clock on: cycles per packet of each stage.
  std::array<double, kStages> stages();
  /// Packets that the worker didn't send, so far.
  uint64_t lost() const { return lost_; }

 private:
  struct Planned {
    uint32_t session;
    uint16_t template_index;
    uint16_t flow;
    uint16_t lane;  ///< of the binding that the session has by then
    uint64_t sequence;
  };
  PacketSlices(BenchRig& rig, const BenchCell& cell, const BenchOptions& bench, uint16_t worker,
               uint64_t seed, WorkerTime* time, Aead aead, RawAead raw);
  std::span<const Planned> batch(unsigned number) const;
  bool prepare(std::span<const Planned> batch);
  AeadOp seal_message(uint32_t session, uint8_t* plain, unsigned bytes);
  uint64_t pass(std::span<const Planned> batch, SpinBarrier* barrier);
  uint64_t poll_all();
  void take();
  double per_packet(uint64_t cycles) const;

  BenchRig& rig_;
  BenchCell cell_;
  uint32_t batch_;    ///< packets in a ring at once
  unsigned batches_;  ///< of a slice
  uint16_t worker_;
  WorkerTime* time_;
  Aead aead_;
  RawAead raw_;
  uint16_t in_;
  uint16_t out_;
  std::mt19937_64 random_;
  std::vector<FrameTemplates> templates_;
  std::vector<Planned> plan_;
  std::vector<rte_mbuf*> packets_;
  std::vector<AeadOp> ops_;
  StageClock* stages_ = nullptr;
  double lap_cycles_;
  uint64_t lost_ = 0;
};

}  // namespace jvpn::perf
