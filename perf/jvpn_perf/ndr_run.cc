#include "perf/jvpn_perf/ndr_run.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/rate_search.h"

namespace jvpn::perf {
namespace {

constexpr double kFlatOut = 1'000;  // Mpps: more than anybody can send
constexpr double kPauseSeconds = 200e-6;
constexpr double kQuietSeconds = 0.02;  // then nothing is on its way any more
constexpr double kDrainSeconds = 0.5;
constexpr unsigned kRepeats = 2;
constexpr unsigned kMostTrials = 40;  // of a search
constexpr unsigned kMostConfirmations = 20;
constexpr double kLoads[] = {10, 50, 90};

/// One trial: a burst whenever one is due, everything that comes taken in between.
class Trial {
 public:
  Trial(MemifPeer& peer, double mpps)
      : peer_(peer), hz_(static_cast<double>(rte_get_tsc_hz())), gap_(hz_ / (mpps * 1e6)) {
    trial_.wanted_mpps = mpps;
  }

  NdrTrial run(double length_s) {
    const uint64_t begin = rte_rdtsc();
    const auto end = begin + static_cast<uint64_t>(length_s * hz_);
    due_ = static_cast<double>(begin);
    uint64_t now = begin;
    for (; now < end && !interrupted(); now = rte_rdtsc()) {
      send_due(now);
      take(now);
    }
    trial_.mpps =
        static_cast<double>(trial_.offered) / static_cast<double>(now - begin) * hz_ / 1e6;
    drain();
    trial_.latency = latency_;
    return trial_;
  }

 private:
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
    const unsigned count = peer_.receive(latency_);
    trial_.received += count;
    if (now >= keep_alive_at_) {
      peer_.keep_alive();
      keep_alive_at_ = now + static_cast<uint64_t>(hz_ / 1'000);
    }
    return count;
  }

  void drain() {
    const uint64_t begin = rte_rdtsc();
    uint64_t latest = begin;
    const auto cycles = [&](double length_s) { return static_cast<uint64_t>(length_s * hz_); };
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
  LatencyHistogram latency_;
  NdrTrial trial_;
};

}  // namespace

NdrRun::NdrRun(const NdrOptions& options, MemifPeer& peer, Progress progress)
    : options_(options), peer_(peer), progress_(std::move(progress)) {
  const double steps = std::ceil(std::log2(100 / options.width_percent));
  expected_trials_ = 2 + static_cast<size_t>(1.7 * steps) + std::size(kLoads);
}

void NdrRun::note(const NdrTrial& trial) {
  results_.trials.push_back(trial);
  results_.trials.back().latency = {};
}

Result<NdrTrial> NdrRun::trial(double mpps) {
  NdrTrial done = Trial(peer_, mpps).run(options_.trial_s);
  if (auto fine = peer_.check(); !fine) return fine.error();
  if (!interrupted()) note(done);
  return done;
}

Result<NdrTrial> NdrRun::best_trial(double mpps, double goal, const char* what) {
  Result<NdrTrial> best = Error{};
  for (unsigned i = 0; i <= kRepeats && !interrupted(); ++i) {
    progress_(results_.trials.size(), std::max(expected_trials_, results_.trials.size() + 1),
              fmt::format("{} at {:.3f} Mpps", what, mpps));
    auto next = trial(mpps);
    if (!next) return next;
    if (!best || next->loss() < best->loss()) best = std::move(next);
    if (best->loss() <= goal) break;
  }
  return best;
}

Result<double> NdrRun::search(double low, double high, double goal, const char* what) {
  RateSearch search(low, high, options_.width_percent / 100, goal);
  for (unsigned i = 0; i < kMostTrials && !interrupted(); ++i) {
    const auto rate = search.next();
    if (!rate) break;
    const auto best = best_trial(*rate, goal, what);
    if (!best) return best.error();
    if (!interrupted()) search.take(std::min(best->mpps, *rate), best->loss());
  }
  return search.found();
}

/// At NDR nothing may be lost; as long as something is, NDR was too high, by more each time.
Result<void> NdrRun::confirm() {
  for (unsigned i = 0; i < kMostConfirmations && !interrupted(); ++i) {
    progress_(results_.trials.size(), expected_trials_,
              fmt::format("confirming {:.3f} Mpps", results_.ndr_mpps));
    const auto done = trial(results_.ndr_mpps);
    if (!done) return done.error();
    if (interrupted()) break;
    results_.lost_below_ndr = done->lost();
    results_.confirmed_packets = done->lost() == 0 ? done->offered : 0;
    if (done->lost() == 0) break;
    results_.ndr_mpps *=
        std::max(0.5, 1 - std::ldexp(options_.width_percent / 100, static_cast<int>(i)));
  }
  return {};
}

Result<void> NdrRun::measure_latency() {
  for (const double load : kLoads) {
    if (interrupted()) break;
    progress_(results_.trials.size(), expected_trials_,
              fmt::format("latency at {} % of PDR", load));
    auto done = trial(results_.pdr_mpps * load / 100);
    if (!done) return done.error();
    if (!interrupted()) results_.latency.push_back({load, *std::move(done)});
  }
  return {};
}

Result<NdrResults> NdrRun::run() {
  progress_(0, expected_trials_, "as fast as it goes");
  const auto flat_out = trial(kFlatOut);
  if (!flat_out) return flat_out.error();
  results_.generator_mpps = flat_out->mpps;
  results_.flat_out_mpps = flat_out->mpps * (1 - flat_out->loss());
  // Not what came through then: a gateway in overload delivers less than it can.
  const double most = results_.generator_mpps;
  const auto ndr = search(0, most, 0, "NDR");
  if (!ndr) return ndr.error();
  results_.ndr_mpps = *ndr;
  const auto pdr = search(*ndr, most, kPdrLoss, "PDR");
  if (!pdr) return pdr.error();
  results_.pdr_mpps = *pdr;
  if (results_.ndr_mpps > 0)
    if (auto done = confirm(); !done) return done.error();
  if (results_.pdr_mpps > 0)
    if (auto done = measure_latency(); !done) return done.error();
  results_.interrupted = interrupted();
  return std::move(results_);
}

}  // namespace jvpn::perf
