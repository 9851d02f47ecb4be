// What the commands around BenchCrew share. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "common/result.h"
#include "perf/jvpn_perf/bench_crew.h"
#include "perf/jvpn_perf/bench_memory.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/pipeline_options.h"
#include "perf/jvpn_perf/progress.h"

namespace jvpn::perf {

/// `asked`, or a fresh one for 0.
uint64_t seed_of(uint64_t asked);

/// How far a measurement is, a few times a second.
class RunProgress {
 public:
  RunProgress(double seconds, std::string doing);
  void show_sometimes(uint64_t elapsed_ms);

 private:
  ProgressLine line_;
  size_t total_;
  std::string doing_;
  uint64_t next_ms_ = 0;
};

/// Fails when packets went neither out nor into a drop's counter.
Result<void> check_lost(const BenchCrew& crew, const std::vector<BenchRig*>& rigs);

/// The command's exit code, after the output.
int print_result(const std::string& text);
int report_failure(const char* command, const Error& error);

/// Runs the crew; this thread sleeps and shows how far it is.
Result<void> run_with_progress(BenchCrew& crew, double seconds, const std::string& doing);

/// Seed, pages and machine, as the last lines of a table.
std::string footer_of(const BenchOptions& options, const BenchMemory& memory,
                      const Environment& environment);

/// suite, seconds, runs, batch, seed, pages, note, interrupted, environment.
nlohmann::ordered_json bench_json(const BenchOptions& options, const BenchMemory& memory,
                                  const Environment& environment);

/// A number, or `imix`.
nlohmann::ordered_json size_json(const std::string& size);

}  // namespace jvpn::perf
