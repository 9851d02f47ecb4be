// Processes of one worker each, which the workers of one process are compared with: they share
// nothing but the machine. Control thread.
//
//   this program ─ fork, before DPDK starts ─┬─ process 0: its worker on the CPU of our worker 0
//                                            └─ process 1: on that of our worker 1, …
//
// Phases go out and samples come back over a socket for each process; within a phase the workers
// meet at a barrier in shared memory, as ours do at theirs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <sys/types.h>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "perf/pipeline/packet_slices.h"

namespace jvpn::perf {

/// Slices of one cell, for all that take part.
struct BenchPhase {
  size_t cell = 0;
  unsigned pairs = 1;
  uint64_t seed = 0;
};

/// Neighbouring slices over the same packets, in TSC cycles per packet; of several workers, a mean.
struct BenchSlice {
  double pipeline = 0;
  double raw = 0;
};

/// A process' way to the program that started it.
struct BenchLink {
  uint16_t number = 0;  ///< of the process
  FileDescriptor socket;
  SpinBarrier* barrier = nullptr;  ///< of all processes' workers

  /// Ready for the next phase, which it waits for. False: there is none.
  bool await(BenchPhase& phase) const;
  bool send(const std::vector<BenchSlice>& slices) const;
};

class BenchProcesses {
 public:
  /// Runs `body` in `count` processes, and returns when each is ready for a phase. No other thread
  /// may run yet. A body's error is told on stderr and ends its process.
  static Result<std::unique_ptr<BenchProcesses>> start(
      uint16_t count, const std::function<Result<void>(const BenchLink&)>& body);
  /// Waits until they have ended.
  ~BenchProcesses();
  BenchProcesses(const BenchProcesses&) = delete;
  BenchProcesses& operator=(const BenchProcesses&) = delete;

  /// Tells all of them to begin.
  Result<void> begin(const BenchPhase& phase);
  /// Waits for what a process measured: fills `slices`.
  Result<void> collect(uint16_t process, std::vector<BenchSlice>& slices);
  /// Ends them. Fails when one of them did.
  Result<void> end();

 private:
  struct Child {
    pid_t pid;
    FileDescriptor socket;
  };
  BenchProcesses() = default;
  Result<void> await_ready(const Child& child);

  std::vector<Child> children_;
};

}  // namespace jvpn::perf
