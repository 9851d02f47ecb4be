#include "perf/jvpn_perf/bench_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/interrupt.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kProgressMs = 250;

}  // namespace

RunProgress::RunProgress(double seconds, std::string doing)
    : total_(static_cast<size_t>(std::max(seconds, 1.0))), doing_(std::move(doing)) {}

void RunProgress::show_sometimes(uint64_t elapsed_ms) {
  if (elapsed_ms < next_ms_) return;
  next_ms_ = elapsed_ms + kProgressMs;
  line_.show(std::min<size_t>(elapsed_ms / 1'000, total_), total_, doing_);
}

Result<void> check_lost(const BenchCrew& crew, const std::vector<BenchRig*>& rigs) {
  uint64_t drops = 0;
  for (BenchRig* rig : rigs) drops += rig->gateway().all_drops();
  if (crew.lost() == drops) return {};
  return Error{
      fmt::format("{} packets didn't come out, {} were counted as drops", crew.lost(), drops)};
}

int print_result(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return interrupted() ? kExitInterrupted : 0;
}

int report_failure(const char* command, const Error& error) {
  if (interrupted()) return kExitInterrupted;
  std::fprintf(stderr, "jvpn-perf %s: %s\n", command, error.message.c_str());
  return kExitFailed;
}

uint64_t seed_of(uint64_t asked) {
  return asked != 0 ? asked : std::random_device{}();
}

Result<void> run_with_progress(BenchCrew& crew, double seconds, const std::string& doing) {
  RunProgress progress(seconds, doing);
  return crew.run([&] {
    progress.show_sometimes(crew.elapsed_ms());
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
          {"burst", options.tuning.burst},
          {"prefetch_ahead", options.tuning.prefetch_ahead},
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
