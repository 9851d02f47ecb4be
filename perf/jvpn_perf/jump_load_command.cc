// jvpn-perf jump-load: options and output.
#include <cstdio>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/jump_load.h"
#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {
namespace {

struct Figures {
  double loss_percent = 0;
  double loss_p10 = 0;  ///< of single pairs: how far they spread
  double loss_p90 = 0;
  double mpps_with = 0;
  double mpps_without = 0;
};

Figures figures_of(const JumpLoadResults& results) {
  std::vector<double> with;
  std::vector<double> without;
  std::vector<double> losses;
  for (const SlicePair& pair : results.pairs) {
    with.push_back(pair.mpps_with);
    without.push_back(pair.mpps_without);
    losses.push_back(throughput_loss_percent({pair}));
  }
  return {throughput_loss_percent(results.pairs), percentile(losses, 10), percentile(losses, 90),
          median(with), median(without)};
}

void print_table(const JumpLoadOptions& options, const JumpLoadResults& results) {
  const Figures f = figures_of(results);
  const std::string text = fmt::format(
      "{} sessions, {:.0f} jumps/s, inner packets of {} bytes, AES-128-GCM, half sealed, half "
      "opened\n\n"
      "without jumps  {:.3f} Mpps of one worker\n"
      "with jumps     {:.3f} Mpps\n"
      "loss           {:.2f} %, median of {} pairs of slices (p10 {:.2f} %, p90 {:.2f} %)\n"
      "publishing     {:.1f} us of the control core for a jump\n\n"
      "In slices without jumps the control core spins on the same pacing loop, so that only the\n"
      "publishing differs: the two CPUs may share one core. Order of slices: seed {}.\n",
      options.sessions, results.jumps_per_s, options.bytes, f.mpps_without, f.mpps_with,
      f.loss_percent, results.pairs.size(), f.loss_p10, f.loss_p90, results.publish_us,
      results.seed);
  std::fputs(text.c_str(), stdout);
}

void print_json(const JumpLoadOptions& options, const JumpLoadResults& results,
                const Environment& environment) {
  const Figures f = figures_of(results);
  auto pairs = nlohmann::ordered_json::array();
  for (const SlicePair& pair : results.pairs) pairs.push_back({pair.mpps_with, pair.mpps_without});
  const nlohmann::ordered_json json{
      {"command", "jump-load"},
      {"throughput_loss_percent", f.loss_percent},
      {"loss_percent_p10", f.loss_p10},
      {"loss_percent_p90", f.loss_p90},
      {"mpps_with", f.mpps_with},
      {"mpps_without", f.mpps_without},
      {"jumps_per_s", results.jumps_per_s},
      {"publish_us", results.publish_us},
      {"sessions", options.sessions},
      {"bytes", options.bytes},
      {"slice_ms", options.slice_ms},
      {"pairs", std::move(pairs)},
      {"control_core", "equally busy in both kinds of slices: only the publishing differs"},
      {"packets", results.packets},
      {"dropped_packets", results.dropped},
      {"seed", results.seed},
      {"interrupted", results.interrupted},
      {"environment", to_json(environment)}};
  std::puts(json.dump(2).c_str());
}

int run(const JumpLoadOptions& options) {
  if (std::thread::hardware_concurrency() < 2) {
    std::fputs("jvpn-perf jump-load: needs two CPUs, one for the worker, one for control\n",
               stderr);
    return kExitFailed;
  }
  catch_interrupts();
  const Environment environment = describe_environment();
  const auto results = run_jump_load(options);
  if (!results) {
    std::fprintf(stderr, "jvpn-perf jump-load: %s\n", results.error().message.c_str());
    return kExitFailed;
  }
  if (options.json)
    print_json(options, *results, environment);
  else
    print_table(options, *results);
  return results->interrupted ? kExitInterrupted : 0;
}

}  // namespace

Command add_jump_load(CLI::App& app) {
  auto options = std::make_shared<JumpLoadOptions>();
  CLI::App* parser = app.add_subcommand(
      "jump-load", "How much slower a worker gets because sessions jump, between in-memory ports");
  add_jump_load_options(*parser, *options);
  return {parser, [options] { return run(*options); }};
}

}  // namespace jvpn::perf
