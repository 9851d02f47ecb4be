// The measurement behind `jvpn-perf ndr`: trials at steady rates through the gateway in the other
// process, searches for the rates without loss (NDR) and with 0.5 % of it (PDR), then latency under
// parts of the latter. A trial that loses is repeated; the best counts, because from here a pause
// of the machine can't be told from the gateway's loss. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "perf/jvpn_perf/latency_histogram.h"
#include "perf/jvpn_perf/memif_peer.h"

namespace jvpn::perf {

inline constexpr double kPdrLoss = 0.005;

struct NdrTrial {
  double wanted_mpps = 0;
  double mpps = 0;  ///< offered indeed: the generator doesn't catch up on its own pauses
  uint64_t offered = 0;
  uint64_t received = 0;
  uint64_t pauses = 0;       ///< of the generator, over 200 us
  LatencyHistogram latency;  ///< in TSC cycles

  uint64_t lost() const { return offered > received ? offered - received : 0; }
  double loss() const {
    return offered == 0 ? 1 : static_cast<double>(lost()) / static_cast<double>(offered);
  }
};

struct NdrLatency {
  double load_percent = 0;  ///< of PDR
  NdrTrial trial;
};

struct NdrResults {
  double flat_out_mpps = 0;   ///< delivered while the generator sent all it could
  double generator_mpps = 0;  ///< offered then
  double ndr_mpps = 0;
  double pdr_mpps = 0;
  uint64_t lost_below_ndr = 0;     ///< in the confirming trial at NDR
  uint64_t confirmed_packets = 0;  ///< offered in it; 0: not confirmed
  std::vector<NdrLatency> latency;
  std::vector<NdrTrial> trials;
  bool interrupted = false;
};

class NdrRun {
 public:
  using Progress = std::function<void(size_t done, size_t total, const std::string& doing)>;
  NdrRun(const NdrOptions& options, MemifPeer& peer, Progress progress);

  /// What was done until an interruption, too.
  Result<NdrResults> run();

 private:
  Result<NdrTrial> trial(double mpps);
  Result<NdrTrial> best_trial(double mpps, double goal, const char* what);
  Result<double> search(double low, double high, double goal, const char* what);
  Result<void> confirm();
  Result<void> measure_latency();
  void note(const NdrTrial& trial);

  const NdrOptions options_;
  MemifPeer& peer_;
  Progress progress_;
  size_t expected_trials_;
  NdrResults results_;
};

}  // namespace jvpn::perf
