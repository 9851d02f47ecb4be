#include "perf/jvpn_perf/jump_report.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {
namespace {

constexpr size_t kBarWidth = 40;

struct Samples {
  std::vector<double> up;
  std::vector<double> down;
  std::vector<double> worse;
};

Samples blocked_of(const JumpResults& results) {
  Samples samples;
  for (const JumpRecord& jump : results.jumps) {
    samples.up.push_back(jump.up.ms);
    samples.down.push_back(jump.down.ms);
    samples.worse.push_back(jump.worse().ms);
  }
  return samples;
}

double longest_gap(const JumpResults& results) {
  double longest = 0;
  for (const JumpRecord& jump : results.jumps)
    longest = std::max({longest, jump.up.longest_gap_ms, jump.down.longest_gap_ms});
  return longest;
}

size_t count_if(const JumpResults& results, bool JumpRecord::*flag) {
  return static_cast<size_t>(std::ranges::count(results.jumps, true, flag));
}

size_t over(const std::vector<double>& samples, double bound) {
  return static_cast<size_t>(
      std::ranges::count_if(samples, [bound](double sample) { return sample > bound; }));
}

std::string row(const char* name, const std::vector<double>& samples, double bound) {
  const Summary sum = summarize(samples);
  return fmt::format("{:<10}{:>9.1f}{:>9.1f}{:>9.1f}{:>9.1f}{:>12}\n", name, sum.p50, sum.p90,
                     sum.p99, sum.max, over(samples, bound));
}

std::string bars(const std::vector<double>& samples) {
  const std::vector<Bucket> buckets = histogram(samples);
  size_t most = 1;
  for (const Bucket& bucket : buckets) most = std::max(most, bucket.count);
  std::string text;
  const auto first = std::ranges::find_if(buckets, [](const Bucket& b) { return b.count != 0; });
  for (auto at = first; at != buckets.end(); ++at) {
    const Bucket& bucket = *at;
    const size_t width = (bucket.count * kBarWidth + most - 1) / most;
    const std::string range =
        bucket.to == 0 ? "0" : fmt::format("{:g}-{:g}", bucket.from, bucket.to);
    text += fmt::format("{:>12} ms {:>6} {}\n", range, bucket.count, std::string(width, '#'));
  }
  return text;
}

nlohmann::ordered_json summary_json(const std::vector<double>& samples) {
  const Summary sum = summarize(samples);
  return {{"p50", sum.p50}, {"p90", sum.p90}, {"p99", sum.p99}, {"max", sum.max}};
}

nlohmann::ordered_json distribution_json(const std::vector<double>& samples) {
  auto list = nlohmann::ordered_json::array();
  for (const Bucket& bucket : histogram(samples))
    list.push_back({{"over_ms", bucket.from}, {"up_to_ms", bucket.to}, {"jumps", bucket.count}});
  return list;
}

nlohmann::ordered_json jumps_json(const JumpResults& results) {
  auto list = nlohmann::ordered_json::array();
  for (const JumpRecord& jump : results.jumps) {
    list.push_back({{"at_ms", jump.fault_at / kMillisecond},
                    {"from", jump.from},
                    {"to", jump.to},
                    {"up_blocked_ms", jump.up.ms},
                    {"down_blocked_ms", jump.down.ms},
                    {"up_gap_ms", jump.up.longest_gap_ms},
                    {"down_gap_ms", jump.down.longest_gap_ms}});
  }
  return list;
}

nlohmann::ordered_json environment_json(const Environment& environment,
                                        const JumpResults& results) {
  nlohmann::ordered_json json = to_json(environment);
  json["port_driver"] = results.facts.driver;
  json["workers"] = results.facts.workers;
  json["policy"] = results.policy;
  return json;
}

}  // namespace

double over_bound(double p99_ms, const JumpBound& bound) {
  return std::max(0.0, p99_ms - bound.ms);
}

std::string jump_table(const JumpOptions& options, const JumpResults& results,
                       const Environment& environment) {
  const Samples samples = blocked_of(results);
  const size_t count = results.jumps.size();
  std::string text = fmt::format(
      "{} jumps, fault {}{}, RTT {:.2f} ms, {} packets/s of {} bytes each way\n\n"
      "{:<10}{:>9}{:>9}{:>9}{:>9}{:>12}   blocked ms = lost packets / offered rate\n",
      count, to_string(options.fault), options.cold ? " to cold candidates" : "", results.rtt_ms,
      options.rate, options.bytes, "", "p50", "p90", "p99", "max", "over bound");
  text += row("up", samples.up, results.bound.ms);
  text += row("down", samples.down, results.bound.ms);
  text += row("worse", samples.worse, results.bound.ms);
  const double p99 = percentile(samples.worse, 99);
  text += fmt::format("\nbound      {:.2f} ms ({}); p99 is {:.2f} ms over it\n", results.bound.ms,
                      results.bound.formula, over_bound(p99, results.bound));
  if (options.fault == Fault::kNatRebind)
    text += "           (the design gives none for this fault; this is what it could reach)\n";
  text +=
      fmt::format("lost       {} of {} packets in jumps, {} between them, {} came twice\n",
                  results.lost_in_jumps, results.offered, results.lost_between, results.duplicates);
  text +=
      fmt::format("gap        {:.1f} ms, the longest between two arrivals\n", longest_gap(results));
  text += fmt::format("kept       session {} of {}, TCP connection {} of {}\n",
                      count_if(results, &JumpRecord::session_kept), count,
                      count_if(results, &JumpRecord::tcp_kept), count);
  text += fmt::format("machine    {}, {} CPUs, load {:.1f} before the run\n", environment.cpu,
                      environment.cpus, environment.load);
  text += "\nblocked, worse direction\n" + bars(samples.worse);
  return text;
}

nlohmann::ordered_json jump_json(const JumpOptions& options, const JumpResults& results,
                                 const Environment& environment) {
  const Samples samples = blocked_of(results);
  const Summary worse = summarize(samples.worse);
  nlohmann::ordered_json json{
      {"command", "jump"},
      {"fault", to_string(options.fault)},
      {"cold", options.cold},
      {"count", worse.count},
      {"p50_blocked_ms", worse.p50},
      {"p90_blocked_ms", worse.p90},
      {"p99_blocked_ms", worse.p99},
      {"max_blocked_ms", worse.max},
      {"bound_ms", results.bound.ms},
      {"bound", results.bound.formula},
      {"p99_over_bound_ms", over_bound(worse.p99, results.bound)},
      {"jumps_over_bound", over(samples.worse, results.bound.ms)},
      {"sessions_kept", count_if(results, &JumpRecord::session_kept)},
      {"tcp_kept", count_if(results, &JumpRecord::tcp_kept)},
      {"lost_packets", results.lost_in_jumps},
      {"lost_between_jumps", results.lost_between},
      {"offered_packets", results.offered},
      {"duplicate_packets", results.duplicates},
      {"longest_gap_ms", longest_gap(results)},
      {"rtt_ms", results.rtt_ms},
      {"rate", options.rate},
      {"bytes", options.bytes},
      {"up", summary_json(samples.up)},
      {"down", summary_json(samples.down)},
      {"distribution", distribution_json(samples.worse)},
      {"jumps", jumps_json(results)},
      {"interrupted", results.interrupted},
      {"environment", environment_json(environment, results)},
  };
  json["failure"] = results.failure ? nlohmann::ordered_json(*results.failure) : nullptr;
  return json;
}

}  // namespace jvpn::perf
