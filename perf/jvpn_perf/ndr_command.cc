// jvpn-perf ndr: output.
#include <cstdio>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <unistd.h>

#include "common/profile.h"
#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/ndr_run.h"
#include "perf/jvpn_perf/progress.h"

namespace jvpn::perf {
namespace {

constexpr std::pair<const char*, double> kReported[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}};

double to_us(uint64_t cycles) {
  return static_cast<double>(cycles) * 1e6 / static_cast<double>(rte_get_tsc_hz());
}
double inner_gbps(double mpps, unsigned size) {
  return mpps * size * 8 / 1'000;
}

nlohmann::ordered_json latency_json(const NdrResults& results) {
  auto rows = nlohmann::ordered_json::array();
  for (const auto& [load, trial] : results.latency) {
    nlohmann::ordered_json row{{"load_percent", load}, {"mpps", trial.mpps}};
    for (const auto& [name, percent] : kReported)
      row[name] = to_us(trial.latency.percentile(percent));
    row["max"] = to_us(trial.latency.max());
    row["samples"] = trial.latency.samples();
    row["lost"] = trial.lost();
    rows.push_back(std::move(row));
  }
  return rows;
}

nlohmann::ordered_json trials_json(const NdrResults& results) {
  auto list = nlohmann::ordered_json::array();
  for (const NdrTrial& trial : results.trials)
    list.push_back({{"wanted_mpps", trial.wanted_mpps},
                    {"mpps", trial.mpps},
                    {"offered", trial.offered},
                    {"lost", trial.lost()},
                    {"generator_pauses", trial.pauses}});
  return list;
}

void print_ndr_json(const NdrOptions& options, const NdrResults& results, bool hugepages,
                    const Environment& environment) {
  nlohmann::ordered_json stated = to_json(environment);
  stated["ports"] = "memif between two processes, rings of " + std::to_string(options.ring);
  stated["hugepages"] = hugepages;
  const nlohmann::ordered_json json{{"command", "ndr"},
                                    {"direction", options.direction()},
                                    {"suite", to_string(options.suite)},
                                    {"size", options.size},
                                    {"trial_s", options.trial_s},
                                    {"width_percent", options.width_percent},
                                    {"ndr_mpps", results.ndr_mpps},
                                    {"pdr_mpps", results.pdr_mpps},
                                    {"ndr_gbps", inner_gbps(results.ndr_mpps, options.size)},
                                    {"pdr_gbps", inner_gbps(results.pdr_mpps, options.size)},
                                    {"lost_below_ndr", results.lost_below_ndr},
                                    {"confirmed_packets", results.confirmed_packets},
                                    {"flat_out_mpps", results.flat_out_mpps},
                                    {"generator_max", results.generator_mpps},
                                    {"latency_us", latency_json(results)},
                                    {"trials", trials_json(results)},
                                    {"interrupted", results.interrupted},
                                    {"environment", std::move(stated)}};
  std::puts(json.dump(2).c_str());
}

std::string confirmation(const NdrResults& results) {
  if (results.confirmed_packets != 0)
    return fmt::format("0 of {} packets lost in the confirming trial", results.confirmed_packets);
  if (results.lost_below_ndr != 0)
    return fmt::format("not confirmed, {} packets lost in the last trial", results.lost_below_ndr);
  return "not confirmed";
}

void print_ndr_table(const NdrOptions& options, const NdrResults& results, bool hugepages,
                     const Environment& environment) {
  std::string text = fmt::format(
      "{}, {}, inner packets of {} bytes, trials of {} s\n\n"
      "NDR        {:.3f} Mpps, {:.2f} Gbit/s; {}\n"
      "PDR        {:.3f} Mpps, {:.2f} Gbit/s with at most {} % lost\n"
      "flat out   {:.3f} Mpps of {:.3f} offered\n\n"
      "{:<12}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}   latency, us\n",
      options.direction(), to_string(options.suite), options.size, options.trial_s,
      results.ndr_mpps, inner_gbps(results.ndr_mpps, options.size), confirmation(results),
      results.pdr_mpps, inner_gbps(results.pdr_mpps, options.size), 100 * kPdrLoss,
      results.flat_out_mpps, results.generator_mpps, "% of PDR", "Mpps", "p50", "p90", "p99",
      "p99.9", "max", "lost");
  for (const auto& [load, trial] : results.latency) {
    text += fmt::format("{:<12}{:>8.3f}", load, trial.mpps);
    for (const auto& reported : kReported)
      text += fmt::format("{:>10.1f}", to_us(trial.latency.percentile(reported.second)));
    text += fmt::format("{:>10.1f}{:>8}\n", to_us(trial.latency.max()), trial.lost());
  }
  text += fmt::format("\nmachine    {}, {} CPUs, load {:.1f} before the run, {} hugepages\n",
                      environment.cpu, environment.cpus, environment.load,
                      hugepages ? "with" : "without");
  std::fputs(text.c_str(), stdout);
}

Result<NdrResults> measure(const NdrOptions& options, bool& hugepages) {
  const SecretKey key = generate_secret_key();
  auto gateway = GatewayProcess::start({public_key_of(key), options.suite, options.ring});
  if (!gateway) return gateway.error();
  hugepages = (*gateway)->hugepages();
  auto peer = MemifPeer::create(options, key, **gateway);
  if (!peer) return peer.error();
  if (auto connected = (*peer)->connect(); !connected) return connected.error();
  auto line = std::make_unique<ProgressLine>();
  NdrRun run(options, **peer, [&](size_t done, size_t total, const std::string& doing) {
    line->show(done, total, doing);
  });
  return run.run();
}

int run_ndr(const NdrOptions& options) {
  if (geteuid() != 0 || std::thread::hardware_concurrency() < 2) {
    std::fputs("jvpn-perf ndr: needs root and two CPUs, one for the gateway's worker\n", stderr);
    return kExitUsage;
  }
  catch_interrupts();
  const Environment environment = describe_environment();
  bool hugepages = false;
  const auto results = measure(options, hugepages);
  if (!results) {
    std::fprintf(stderr, "jvpn-perf ndr: %s\n", results.error().message.c_str());
    return interrupted() ? kExitInterrupted : kExitFailed;
  }
  if (options.json)
    print_ndr_json(options, *results, hugepages, environment);
  else
    print_ndr_table(options, *results, hugepages, environment);
  return results->interrupted ? kExitInterrupted : 0;
}

}  // namespace

Command add_ndr(CLI::App& app) {
  auto options = std::make_shared<NdrOptions>();
  CLI::App* parser = app.add_subcommand(
      "ndr",
      "Highest rates without and with 0.5 % loss, and latency, through jvpnd on memif ports");
  add_ndr_options(*parser, *options);
  return {parser, [options] { return run_ndr(*options); }};
}

}  // namespace jvpn::perf
