#include "perf/jvpn_perf/bench_run.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/progress.h"

namespace jvpn::perf {

uint64_t seed_of(uint64_t asked) {
  return asked != 0 ? asked : std::random_device{}();
}

Result<void> run_with_progress(BenchCrew& crew, double seconds, const std::string& doing) {
  ProgressLine progress;
  const auto total = static_cast<size_t>(std::max(seconds, 1.0));
  return crew.run([&] {
    progress.show(std::min<size_t>(crew.elapsed_ms() / 1'000, total), total, doing);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
}

std::string footer_of(const BenchOptions& options, const BenchMemory& memory,
                      const Environment& environment) {
  std::string text = fmt::format("memory   {} pages{}\n", memory.pages,
                                 memory.note.empty() ? "" : ": " + memory.note);
  text += fmt::format("machine  {}, {} CPUs, load {:.1f} before the run; IPsec-MB on {}\n",
                      environment.cpu, environment.cpus, environment.load, environment.ipsec_mb);
  text += fmt::format("flags    {}\n", fmt::join(environment.cpu_flags, " "));
  text += fmt::format("build    {}, {}\n", environment.commit, environment.build);
  text += fmt::format(
      "run      {} runs in {:g} s, seed {}{}; in brackets least and most of the runs\n",
      options.runs, options.seconds, options.seed, interrupted() ? ", interrupted" : "");
  return text;
}

nlohmann::ordered_json bench_json(const BenchOptions& options, const BenchMemory& memory,
                                  const Environment& environment) {
  return {{"suite", to_string(options.suite)},
          {"seconds", options.seconds},
          {"runs", options.runs},
          {"batch", options.batch},
          {"batches", options.batches},
          {"seed", options.seed},
          {"pages", memory.pages},
          {"pages_note", memory.note},
          {"interrupted", interrupted()},
          {"environment", to_json(environment)}};
}

nlohmann::ordered_json size_json(const std::string& size) {
  if (size == "imix") return size;
  return std::stoul(size);
}

}  // namespace jvpn::perf
