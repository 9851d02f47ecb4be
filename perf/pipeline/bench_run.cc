#include "perf/pipeline/bench_run.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "perf/harness/progress.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kProgressMs = 250;

}  // namespace

Result<void> run_crew(BenchCrew& crew, const std::vector<BenchRig*>& rigs, double seconds,
                      const std::function<void()>& turn) {
  ProgressLine line;
  const auto total = static_cast<size_t>(std::max(seconds, 1.0));
  uint64_t next_ms = 0;
  const auto done = crew.run([&] {
    turn();
    const uint64_t elapsed_ms = crew.elapsed_ms();
    if (elapsed_ms < next_ms) return;
    next_ms = elapsed_ms + kProgressMs;
    line.show(std::min<size_t>(elapsed_ms / 1'000, total), total, "measuring");
  });
  if (!done) return done;
  uint64_t drops = 0;
  for (BenchRig* rig : rigs) drops += rig->gateway().all_drops();
  if (crew.lost() == drops) return {};
  return Error{
      fmt::format("{} packets didn't come out, {} were counted as drops", crew.lost(), drops)};
}

Result<void> run_crew(BenchCrew& crew, const std::vector<BenchRig*>& rigs, double seconds) {
  return run_crew(crew, rigs, seconds,
                  [] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); });
}

Measured bench_result(const BenchOptions& options, const BenchMemory& memory, Json json,
                      std::string table) {
  const Json asked{{"suite", to_string(options.suite)},
                   {"seconds", options.seconds},
                   {"runs", options.runs},
                   {"batch", options.batch},
                   {"batches", options.batches},
                   {"burst", options.tuning.burst},
                   {"prefetch_ahead", options.tuning.prefetch_ahead},
                   {"seed", options.seed},
                   {"pages", memory.pages},
                   {"pages_note", memory.note}};
  table += render(
      "run        {runs} runs in {seconds:g} s, seed {seed}; in brackets least and most of the "
      "runs\nmemory     {pages} pages {pages_note}\n",
      asked);
  json.update(asked);
  return {std::move(json), std::move(table)};
}

Json size_json(const std::string& size) {
  if (size == "imix") return size;
  return std::stoul(size);
}

}  // namespace jvpn::perf
