// An in-memory gateway with its sessions, and what is needed to load it. Control thread, but for
// what a worker's lcore does with its own lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/aead.h"
#include "common/result.h"
#include "perf/pipeline/bench_sessions.h"
#include "perf/pipeline/memory_gateway.h"

namespace jvpn::perf {

class BenchRig {
 public:
  struct Options {
    BenchSessions::Shape sessions;
    uint16_t workers = 1;
    uint32_t batch = 512;  ///< packets in a ring at once
    WorkerTuning tuning{};
  };
  /// Megabytes of DPDK's memory that it takes, generously.
  static size_t megabytes(const Options& options);
  static Result<std::unique_ptr<BenchRig>> create(const Options& options);

  MemoryGateway& gateway() { return *gateway_; }
  const BenchSessions& sessions() const { return *sessions_; }
  uint16_t workers() const { return workers_; }
  /// For raw slices: a session's key schedule in memory of its own, so that pipeline and raw slices
  /// don't warm the caches for each other.
  const AeadKey* raw_key(uint32_t session) const { return raw_keys_.get() + session; }
  /// The next sequence number of a lane, as its peer counts. Only by the lane's worker.
  uint64_t take_sequence(uint32_t session, uint16_t lane) {
    return sequences_[size_t{session} * sessions_->shape().lanes + lane]++;
  }
  /// All data-plane memory: tables, routes, records, keys, lanes.
  size_t table_bytes() const { return table_bytes_; }

 private:
  BenchRig() = default;
  Result<void> make_raw_keys();

  uint16_t workers_ = 1;
  std::unique_ptr<MemoryGateway> gateway_;
  std::unique_ptr<BenchSessions> sessions_;
  std::unique_ptr<AeadKey[], FreeDpdk> raw_keys_;
  std::vector<uint64_t> sequences_;
  size_t table_bytes_ = 0;
};

}  // namespace jvpn::perf
