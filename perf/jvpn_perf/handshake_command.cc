// jvpn-perf handshake: options and output.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/profile.h"
#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/handshake_rate.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/progress.h"
#include "perf/jvpn_perf/statistics.h"
#include "perf/jvpn_perf/suite_option.h"

namespace jvpn::perf {
namespace {

Spread spread_of(const HandshakeResults& results, double HandshakeRun::*figure) {
  std::vector<double> values;
  for (const HandshakeRun& run : results.runs) values.push_back(run.*figure);
  return spread(values);
}

nlohmann::ordered_json side_json(const Spread& rate, const Spread& ratio) {
  return {{"handshakes_per_s", rate.median},  {"handshakes_per_s_min", rate.min},
          {"handshakes_per_s_max", rate.max}, {"ratio", ratio.median},
          {"ratio_min", ratio.min},           {"ratio_max", ratio.max}};
}

void print_handshake_json(const HandshakeOptions& options, const HandshakeResults& results,
                          const Environment& environment) {
  const Spread responder = spread_of(results, &HandshakeRun::responder_per_s);
  const Spread ratio = spread_of(results, &HandshakeRun::responder_ratio);
  const Spread raw = spread_of(results, &HandshakeRun::raw_x25519_per_s);
  const nlohmann::ordered_json json{
      {"command", "handshake"},
      {"handshakes_per_s", responder.median},
      {"raw_x25519_per_s", raw.median},
      {"raw_x25519_per_s_min", raw.min},
      {"raw_x25519_per_s_max", raw.max},
      {"ratio", ratio.median},
      {"responder", side_json(responder, ratio)},
      {"both_sides", side_json(spread_of(results, &HandshakeRun::both_sides_per_s),
                               spread_of(results, &HandshakeRun::both_sides_ratio))},
      {"responder_us",
       {{"x25519", spread_of(results, &HandshakeRun::x25519_us).median},
        {"ephemeral_key", spread_of(results, &HandshakeRun::ephemeral_us).median},
        {"rest", spread_of(results, &HandshakeRun::rest_us).median}}},
      {"counted",
       "responder: all of the engine's work on one core from initiation to confirmed session; "
       "ratio "
       "to raw X25519 / 4, both sides to raw X25519 / 8"},
      {"suite", to_string(options.suite)},
      {"runs", results.runs.size()},
      {"handshakes", results.handshakes},
      {"interrupted", results.interrupted},
      {"environment", to_json(environment)}};
  std::puts(json.dump(2).c_str());
}

std::string line(const char* name, const Spread& rate, const Spread& ratio) {
  return fmt::format("{:<12}{:>10.0f}{:>10.0f}{:>10.0f}{:>10.3f}{:>8.3f}{:>8.3f}\n", name,
                     rate.median, rate.min, rate.max, ratio.median, ratio.min, ratio.max);
}

void print_handshake_table(const HandshakeOptions& options, const HandshakeResults& results,
                           const Environment& environment) {
  const Spread raw = spread_of(results, &HandshakeRun::raw_x25519_per_s);
  std::string text = fmt::format(
      "{} handshakes, {}, {} runs\n\n"
      "{:<12}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}\n",
      results.handshakes, to_string(options.suite), results.runs.size(), "per s, core", "median",
      "min", "max", "ratio", "min", "max");
  text += line("responder", spread_of(results, &HandshakeRun::responder_per_s),
               spread_of(results, &HandshakeRun::responder_ratio));
  text += line("both sides", spread_of(results, &HandshakeRun::both_sides_per_s),
               spread_of(results, &HandshakeRun::both_sides_ratio));
  text += fmt::format("{:<12}{:>10.0f}{:>10.0f}{:>10.0f}\n\n", "raw X25519", raw.median, raw.min,
                      raw.max);
  text += fmt::format(
      "responder   {:.1f} us in four X25519, {:.1f} us for its ephemeral key, {:.1f} us for the "
      "rest\n"
      "ratio       to raw X25519 / 4; of both sides, to raw X25519 / 8\n"
      "machine     {}, load {:.1f} before the run\n",
      spread_of(results, &HandshakeRun::x25519_us).median,
      spread_of(results, &HandshakeRun::ephemeral_us).median,
      spread_of(results, &HandshakeRun::rest_us).median, environment.cpu, environment.load);
  std::fputs(text.c_str(), stdout);
}

int run_handshake(const HandshakeOptions& options) {
  catch_interrupts();
  const Environment environment = describe_environment();
  auto progress = std::make_unique<ProgressLine>();
  const auto results = measure_handshakes(
      options, [&](size_t runs) { progress->show(runs, options.runs, "runs of handshakes"); });
  progress.reset();
  if (!results) {
    std::fprintf(stderr, "jvpn-perf handshake: %s\n", results.error().message.c_str());
    return kExitFailed;
  }
  if (options.json)
    print_handshake_json(options, *results, environment);
  else
    print_handshake_table(options, *results, environment);
  return results->interrupted ? kExitInterrupted : 0;
}

}  // namespace

Command add_handshake(CLI::App& app) {
  auto options = std::make_shared<HandshakeOptions>();
  CLI::App* parser = app.add_subcommand(
      "handshake", "New sessions per second and core, against the raw X25519 rate of OpenSSL");
  parser->add_option("--seconds", options->seconds, "of a run")
      ->check(CLI::Range(0.05, 60.0))
      ->capture_default_str();
  parser->add_option("--runs", options->runs, "of which the median counts")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  add_suite_option(*parser, options->suite);
  parser->add_flag("--json", options->json, "one JSON object on stdout");
  return {parser, [options] { return run_handshake(*options); }};
}

}  // namespace jvpn::perf
