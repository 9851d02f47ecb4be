// jvpn-perf jump: how long traffic stands still while a session jumps, for people and programs.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "perf/harness/command.h"
#include "perf/jump/jump_run.h"

namespace jvpn::perf {
namespace {

constexpr size_t kBarWidth = 40;

/// The course of the worst jumps.
void print_courses(const JumpOptions& options, JumpRun& run, const JumpResults& results) {
  std::vector<JumpRecord> worst = results.jumps;
  std::ranges::stable_sort(worst, std::ranges::greater{},
                           [](const JumpRecord& jump) { return jump.worse().ms; });
  worst.resize(std::min<size_t>(worst.size(), options.timelines));
  for (const JumpRecord& jump : worst) {
    std::string text = fmt::format("\n{} -> {}: blocked up {:.1f} ms, down {:.1f} ms\n", jump.from,
                                   jump.to, jump.up.ms, jump.down.ms);
    for (const CourseLine& line : run.course(jump))
      text += fmt::format("{:>10.3f} ms  {:<8} {}\n", to_ms(line.at - jump.fault_at), line.who,
                          line.what);
    std::fputs(text.c_str(), stderr);
  }
}

/// What one direction suffered, or the worse one.
Json blocked_json(const std::vector<double>& samples) {
  const Summary sum = summarize(samples);
  return {{"p50", sum.p50}, {"p90", sum.p90}, {"p99", sum.p99}, {"max", sum.max}};
}

size_t over(const std::vector<double>& samples, double bound) {
  return static_cast<size_t>(
      std::ranges::count_if(samples, [bound](double sample) { return sample > bound; }));
}

Json distribution_json(const std::vector<double>& samples) {
  Json list = Json::array();
  for (const Bucket& bucket : histogram(samples))
    list.push_back({{"over_ms", bucket.from}, {"up_to_ms", bucket.to}, {"jumps", bucket.count}});
  return list;
}

Json jumps_json(const std::vector<JumpRecord>& jumps) {
  Json list = Json::array();
  for (const JumpRecord& jump : jumps)
    list.push_back({{"at_ms", jump.fault_at / kMillisecond},
                    {"from", jump.from},
                    {"to", jump.to},
                    {"up_blocked_ms", jump.up.ms},
                    {"down_blocked_ms", jump.down.ms},
                    {"up_gap_ms", jump.up.longest_gap_ms},
                    {"down_gap_ms", jump.down.longest_gap_ms}});
  return list;
}

double longest_gap(const JumpRecord& jump) {
  return std::max(jump.up.longest_gap_ms, jump.down.longest_gap_ms);
}

Json jump_json(const JumpOptions& options, const JumpResults& results) {
  const auto& jumps = results.jumps;
  const auto worse = each_of(jumps, [](const JumpRecord& jump) { return jump.worse().ms; });
  const Summary sum = summarize(worse);
  Json json{{"fault", to_string(options.fault)},
            {"cold", options.cold},
            {"count", sum.count},
            {"p50_blocked_ms", sum.p50},
            {"p90_blocked_ms", sum.p90},
            {"p99_blocked_ms", sum.p99},
            {"max_blocked_ms", sum.max},
            {"bound_ms", results.bound.ms},
            {"bound", results.bound.formula},
            {"p99_over_bound_ms", std::max(0.0, sum.p99 - results.bound.ms)},
            {"jumps_over_bound", over(worse, results.bound.ms)},
            {"sessions_kept", std::ranges::count(jumps, true, &JumpRecord::session_kept)},
            {"tcp_kept", std::ranges::count(jumps, true, &JumpRecord::tcp_kept)},
            {"lost_packets", results.lost_in_jumps},
            {"lost_between_jumps", results.lost_between},
            {"offered_packets", results.offered},
            {"duplicate_packets", results.duplicates},
            {"longest_gap_ms", percentile(each_of(jumps, longest_gap), 100)},
            {"rtt_ms", results.rtt_ms},
            {"rate", options.rate},
            {"bytes", options.bytes},
            {"up", blocked_json(each_of(jumps, [](const JumpRecord& j) { return j.up.ms; }))},
            {"down", blocked_json(each_of(jumps, [](const JumpRecord& j) { return j.down.ms; }))},
            {"distribution", distribution_json(worse)},
            {"jumps", jumps_json(jumps)},
            {"failure", nullptr}};
  if (results.failure) json["failure"] = *results.failure;
  return json;
}

std::string bars(const Json& distribution) {
  size_t most = 1;
  for (const Json& bucket : distribution) most = std::max(most, bucket["jumps"].get<size_t>());
  std::string text;
  for (const Json& bucket : distribution) {
    const auto count = bucket["jumps"].get<size_t>();
    if (count == 0 && text.empty()) continue;
    text += render("{over_ms:>7g} to {up_to_ms:<6g} ms {jumps:>6} ", bucket) +
            std::string((count * kBarWidth + most - 1) / most, '#') + "\n";
  }
  return text;
}

std::string jump_table(const JumpOptions& options, const Json& json) {
  if (json["count"] == 0) return "";
  const char* no_bound =
      options.fault == Fault::kNatRebind
          ? "           (the design gives none for this fault; this is what it could reach)\n"
          : "";
  return render(
             std::string("{count} jumps, fault {fault}") +
                 (options.cold ? " to cold candidates" : "") +
                 ", RTT {rtt_ms:.2f} ms, {rate} packets/s of {bytes} bytes each way\n\n"
                 "blocked ms      p50      p90      p99      max   = lost packets / offered rate\n"
                 "up        {up_p50:>9.1f}{up_p90:>9.1f}{up_p99:>9.1f}{up_max:>9.1f}\n"
                 "down      {down_p50:>9.1f}{down_p90:>9.1f}{down_p99:>9.1f}{down_max:>9.1f}\n"
                 "worse     {p50_blocked_ms:>9.1f}{p90_blocked_ms:>9.1f}{p99_blocked_ms:>9.1f}"
                 "{max_blocked_ms:>9.1f}   {jumps_over_bound} over the bound\n\n"
                 "bound      {bound_ms:.2f} ms ({bound}); p99 is {p99_over_bound_ms:.2f} ms over "
                 "it\n" +
                 no_bound +
                 "lost       {lost_packets} of {offered_packets} packets in jumps, "
                 "{lost_between_jumps} between them, {duplicate_packets} came twice\n"
                 "gap        {longest_gap_ms:.1f} ms, the longest between two arrivals\n"
                 "kept       session {sessions_kept} of {count}, TCP connection {tcp_kept} of "
                 "{count}\n\nblocked, worse direction\n",
             json) +
         bars(json["distribution"]) + "\n";
}

Result<Measured> measure_jumps(const JumpOptions& options) {
  JumpRun run(options);
  const JumpResults results = run.run();
  print_courses(options, run, results);
  if (!options.keep_logs.empty()) {
    if (const auto kept = run.keep_logs(options.keep_logs); !kept)
      std::fprintf(stderr, "jvpn-perf jump: %s\n", kept.error().message.c_str());
  }
  const Json json = jump_json(options, results);
  const Json environment{{"port_driver", results.facts.driver},
                         {"workers", results.facts.workers},
                         {"policy", results.policy}};
  return Measured{json, jump_table(options, json), environment};
}

}  // namespace

Command add_jump(CLI::App& app) {
  return make_command(
      app, "jump",
      "How long traffic stands still while a session jumps, on real packets in the lab",
      {.root = true, .why = "root, for network namespaces and hugepages"}, add_jump_options,
      measure_jumps);
}

}  // namespace jvpn::perf
