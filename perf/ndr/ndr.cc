// jvpn-perf ndr: trials at steady rates through the gateway in the other process, searches for the
// rates without loss (NDR) and with 0.5 % of it (PDR), then latency under parts of the latter. A
// trial that loses is repeated; the best counts, because from here a pause of the machine can't be
// told from the gateway's loss. One thread.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <sys/resource.h>

#include "common/profile.h"
#include "perf/harness/command.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/progress.h"
#include "perf/ndr/memif_peer.h"
#include "perf/ndr/rate_search.h"

namespace jvpn::perf {
namespace {

constexpr int kPriority = -20;  // of both processes: what others do on these CPUs isn't measured
constexpr double kPdrLoss = 0.005;
constexpr double kFlatOut = 1'000;  // Mpps: more than anybody can send
constexpr double kPauseSeconds = 200e-6;
constexpr double kQuietSeconds = 0.02;  // then nothing is on its way any more
constexpr double kDrainSeconds = 0.5;
constexpr unsigned kRepeats = 2;
constexpr unsigned kMostTrials = 40;  // of a search
constexpr int kMostConfirmations = 20;
constexpr double kLoads[] = {10, 50, 90};
constexpr std::pair<const char*, double> kReported[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"max", 100}};

struct TrialResult {
  double wanted_mpps = 0;
  double mpps = 0;  ///< offered indeed: the generator doesn't catch up on its own pauses
  uint64_t offered = 0;
  uint64_t received = 0;
  uint64_t pauses = 0;       ///< of the generator, over 200 us
  LatencyHistogram latency;  ///< in TSC cycles

  uint64_t lost() const { return offered > received ? offered - received : 0; }
  double loss() const {
    return offered == 0 ? 1 : static_cast<double>(lost()) / static_cast<double>(offered);
  }
};

/// One trial: a burst whenever one is due, everything that comes taken in between.
class Trial {
 public:
  Trial(MemifPeer& peer, double mpps)
      : peer_(peer), hz_(static_cast<double>(rte_get_tsc_hz())), gap_(hz_ / (mpps * 1e6)) {
    trial_.wanted_mpps = mpps;
  }

  TrialResult run(double length_s) {
    const uint64_t begin = rte_rdtsc();
    const uint64_t end = begin + cycles(length_s);
    due_ = static_cast<double>(begin);
    uint64_t now = begin;
    for (; now < end && !interrupted(); now = rte_rdtsc()) {
      send_due(now);
      take(now);
    }
    trial_.mpps =
        static_cast<double>(trial_.offered) / static_cast<double>(now - begin) * hz_ / 1e6;
    drain();
    return trial_;
  }

 private:
  uint64_t cycles(double length_s) const { return static_cast<uint64_t>(length_s * hz_); }

  void send_due(uint64_t now) {
    const double behind = static_cast<double>(now) - due_;
    if (behind < 0) return;
    const double packets = std::floor(behind / gap_) + 1;
    const auto count = static_cast<unsigned>(std::min<double>(packets, MemifPeer::kBurst));
    peer_.send(count);
    trial_.offered += count;  // what the full port refused is the gateway's loss
    due_ += count * gap_;
    if (behind < kPauseSeconds * hz_) return;
    due_ = static_cast<double>(now);
    ++trial_.pauses;
  }

  unsigned take(uint64_t now) {
    const unsigned count = peer_.receive(trial_.latency);
    trial_.received += count;
    if (now >= keep_alive_at_) {
      peer_.keep_alive();
      keep_alive_at_ = now + cycles(1e-3);
    }
    return count;
  }

  void drain() {
    const uint64_t begin = rte_rdtsc();
    uint64_t latest = begin;
    for (uint64_t now = begin;
         now - latest < cycles(kQuietSeconds) && now - begin < cycles(kDrainSeconds);
         now = rte_rdtsc())
      if (take(now) != 0) latest = now;
  }

  MemifPeer& peer_;
  const double hz_;
  const double gap_;  ///< cycles between packets
  double due_ = 0;
  uint64_t keep_alive_at_ = 0;
  TrialResult trial_;
};

class NdrRun {
 public:
  NdrRun(const NdrOptions& options, MemifPeer& peer) : options_(options), peer_(peer) {
    const double steps = std::ceil(std::log2(100 / options.width_percent));
    expected_trials_ = 2 + static_cast<size_t>(1.7 * steps) + std::size(kLoads);
  }

  /// What was done until an interruption, too.
  Result<Json> run() {
    const TrialResult flat_out = trial(kFlatOut, "as fast as it goes");
    // Not what came through then: a gateway in overload delivers less than it can.
    const double most = flat_out.mpps;
    double ndr = search(0, most, 0, "NDR");
    const double pdr = search(ndr, most, kPdrLoss, "PDR");
    confirm(ndr);
    if (pdr > 0) measure_latency(pdr);
    if (auto fine = peer_.check(); !fine) return fine.error();
    const auto gbps = [&](double mpps) { return mpps * options_.size * 8 / 1'000; };
    json_.update({{"ndr_mpps", ndr},
                  {"pdr_mpps", pdr},
                  {"ndr_gbps", gbps(ndr)},
                  {"pdr_gbps", gbps(pdr)},
                  {"flat_out_mpps", most * (1 - flat_out.loss())},
                  {"generator_max", most}});
    return std::move(json_);
  }

 private:
  /// Interrupted, or the session or the gateway ended: no trial counts any more.
  bool stopped() { return interrupted() || !peer_.check(); }

  TrialResult trial(double mpps, const std::string& doing) {
    Json& trials = json_["trials"];
    line_.show(trials.size(), std::max(expected_trials_, trials.size() + 1), doing);
    TrialResult done = Trial(peer_, mpps).run(options_.trial_s);
    if (!stopped())
      trials.push_back({{"wanted_mpps", done.wanted_mpps},
                        {"mpps", done.mpps},
                        {"offered", done.offered},
                        {"lost", done.lost()},
                        {"generator_pauses", done.pauses}});
    return done;
  }

  double search(double low, double high, double goal, const char* what) {
    RateSearch search(low, high, options_.width_percent / 100, goal);
    for (unsigned i = 0; i < kMostTrials; ++i) {
      const auto rate = search.next();
      if (!rate || stopped()) break;
      const std::string doing = fmt::format("{} at {:.3f} Mpps", what, *rate);
      TrialResult best = trial(*rate, doing);
      for (unsigned more = 0; more < kRepeats && best.loss() > goal && !stopped(); ++more)
        if (TrialResult next = trial(*rate, doing); next.loss() < best.loss()) best = next;
      if (!stopped()) search.take(std::min(best.mpps, *rate), best.loss());
    }
    return search.found();
  }

  /// At NDR nothing may be lost; as long as something is, NDR was too high, by more each time.
  void confirm(double& ndr) {
    for (int i = 0; i < kMostConfirmations && ndr > 0 && !stopped(); ++i) {
      const TrialResult done = trial(ndr, fmt::format("confirming {:.3f} Mpps", ndr));
      if (stopped()) return;
      json_["lost_below_ndr"] = done.lost();
      json_["confirmed_packets"] = done.lost() == 0 ? done.offered : 0;
      if (done.lost() == 0) return;
      ndr *= std::max(0.5, 1 - std::ldexp(options_.width_percent / 100, i));
    }
  }

  void measure_latency(double pdr) {
    for (const double load : kLoads) {
      if (stopped()) return;
      const TrialResult done = trial(pdr * load / 100, fmt::format("latency at {} % of PDR", load));
      if (stopped()) return;
      Json row{{"load_percent", load}, {"mpps", done.mpps}};
      for (const auto& [name, percent] : kReported)
        row[name] = static_cast<double>(done.latency.percentile(percent)) * 1e6 /
                    static_cast<double>(rte_get_tsc_hz());
      row["samples"] = done.latency.samples();
      row["lost"] = done.lost();
      json_["latency_us"].push_back(std::move(row));
    }
  }

  const NdrOptions& options_;
  MemifPeer& peer_;
  ProgressLine line_;
  size_t expected_trials_;
  Json json_{{"lost_below_ndr", 0},     // in the confirming trial at NDR
             {"confirmed_packets", 0},  // offered in it; 0: not confirmed
             {"latency_us", Json::array()},
             {"trials", Json::array()}};
};

Result<Measured> measure_ndr(const NdrOptions& options) {
  const SecretKey key = generate_secret_key();
  ::setpriority(PRIO_PROCESS, 0, kPriority);
  const auto gateway =
      Script::start("perf/ndr/gateway.py", {{"peer", key_to_base64(public_key_of(key))},
                                            {"suite", to_string(options.suite)},
                                            {"ring", options.ring}});
  if (!gateway) return gateway.error();
  const auto facts = (*gateway)->answer();
  if (!facts) return facts.error();
  auto peer = MemifPeer::create(options, key, **gateway, *facts);
  if (!peer) return peer.error();
  if (auto connected = (*peer)->connect(); !connected) return connected.error();
  const auto measured = NdrRun(options, **peer).run();
  if (!measured) return measured.error();
  Json json{{"direction", options.direction()},
            {"suite", to_string(options.suite)},
            {"size", options.size},
            {"trial_s", options.trial_s},
            {"width_percent", options.width_percent}};
  json.update(*measured);
  const Json environment{
      {"ports", fmt::format("memif between two processes, rings of {}", options.ring)},
      {"hugepages", facts->at("hugepages")}};
  return Measured{json, environment};
}

}  // namespace

Command add_ndr(CLI::App& app) {
  return make_command(
      app, "ndr",
      "Highest rates without and with 0.5 % loss, and latency, through jvpnd on memif ports",
      {.root = true, .cpus = 2, .why = "root and two CPUs, one for the gateway's worker"},
      add_ndr_options, measure_ndr);
}

}  // namespace jvpn::perf
