// What pipeline, publish and scale share around BenchCrew. Control thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perf/harness/command.h"
#include "perf/pipeline/bench_crew.h"
#include "perf/pipeline/bench_memory.h"

namespace jvpn::perf {

/// Runs the crew and calls `turn` meanwhile, again and again. Fails when packets went neither out
/// nor into a drop's counter.
Result<void> run_crew(BenchCrew& crew, const std::vector<BenchRig*>& rigs, double seconds,
                      const std::function<void()>& turn);
/// The same; this thread sleeps.
Result<void> run_crew(BenchCrew& crew, const std::vector<BenchRig*>& rigs, double seconds);

/// Figures and table, with what was asked for and the pages behind them.
Measured bench_result(const BenchOptions& options, const BenchMemory& memory, Json json,
                      std::string table);

/// A number, or `imix`.
Json size_json(const std::string& size);

}  // namespace jvpn::perf
