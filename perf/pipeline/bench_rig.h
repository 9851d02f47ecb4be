// What a gateway is without NICs: shipping workers and publisher between two in-memory ports, with
// sessions of 1000s of peers, and what is needed to load them. Control thread, but for what a
// worker's lcore does with its worker, its rings and its own lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/aead.h"
#include "common/result.h"
#include "perf/harness/hugepages.h"
#include "perf/pipeline/bench_sessions.h"
#include "tests/support/ring_gateway.h"

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
  /// There may be several at once.
  static Result<std::unique_ptr<BenchRig>> create(const Options& options);

  test::RingGateway& gateway() { return *rings_; }
  Worker& worker(size_t number = 0) { return rings_->worker(number); }
  BenchSessions& sessions() { return *sessions_; }
  uint16_t workers() const { return static_cast<uint16_t>(rings_->workers()); }
  /// For raw slices: a session's key schedule in memory of its own, so that pipeline and raw slices
  /// don't warm the caches for each other.
  const AeadKey* raw_key(uint32_t session) const { return raw_keys_.get() + session; }
  /// The next sequence number of a lane, as its peer counts. Only by the lane's worker.
  uint64_t take_sequence(uint32_t session, uint16_t lane) {
    return sequences_[size_t{session} * sessions_->shape().lanes + lane]++;
  }
  /// What came onto DPDK's heap for tables, routes, records, keys and lanes.
  size_t table_bytes() const { return table_bytes_; }

 private:
  BenchRig() = default;
  Result<void> make_gateway(const Options& options);
  Result<void> add_routes(uint32_t peers);
  Result<void> make_raw_keys();

  NextHop lan_host_;
  std::unique_ptr<test::RingGateway> rings_;
  std::unique_ptr<BenchSessions> sessions_;
  std::unique_ptr<AeadKey[], FreeDpdk> raw_keys_;
  std::vector<uint64_t> sequences_;
  size_t table_bytes_ = 0;
};

struct Bench {
  BenchPages pages;
  std::vector<std::unique_ptr<BenchRig>> rigs;
};
/// Once in a process: starts DPDK without devices or files, the calling thread being lcore 0 on CPU
/// 0, lcore_of_worker() on the CPUs from `first_cpu` on, round and round; then makes the rigs.
/// `small_pages`: not on 2 MB pages, even if there are any. `more_megabytes` of memory are for the
/// caller.
Result<Bench> start_bench(const std::vector<BenchRig::Options>& rigs, bool small_pages,
                          size_t more_megabytes = 0, uint32_t first_cpu = 1);

}  // namespace jvpn::perf
