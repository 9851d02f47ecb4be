// jvpn-perf jump-load: how much slower a worker gets because sessions jump.
//
//   lcore 1 (CPU 1): the crew's phases, packets of peers and LAN hosts by turns
//   lcore 0 (CPU 0): paces; in every other phase it publishes a jump each time, in the others it
//                    does all but that. So both kinds of phase have an equally busy neighbour.
#include "perf/jump/jump_load.h"

#include <algorithm>
#include <deque>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "perf/harness/command.h"
#include "perf/harness/options.h"
#include "perf/pipeline/bench_crew.h"
#include "perf/pipeline/paced_updates.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kDrainMs = 5;
constexpr uint32_t kLoadBatch = 64;  ///< two bursts: made a moment before the worker has them
constexpr Direction kWays[] = {Direction::kSeal, Direction::kOpen};
// A few packets meet an index that drained while the worker's lcore was off its CPU.
constexpr uint64_t kMostDropped = 1'000;

uint64_t cycles_of_ms(uint64_t ms) {
  return rte_get_tsc_hz() * ms / 1'000;
}

/// Jumps of one session after the other; old indices are retired once they have drained.
class Jumper {
 public:
  explicit Jumper(BenchSessions& sessions) : sessions_(sessions) {}

  /// False: so many old indices drain that none is free.
  bool jump() {
    next_ = (next_ + 1) % sessions_.shape().count;
    const auto old = sessions_.jump(next_);
    if (old) draining_.push_back({*old, rte_rdtsc() + cycles_of_ms(kDrainMs)});
    return old.has_value();
  }
  /// True: none is left.
  bool retire_drained() {
    for (; !draining_.empty() && draining_.front().until <= rte_rdtsc(); draining_.pop_front())
      sessions_.retire(draining_.front().index);
    sessions_.reclaimer().reclaim();
    return draining_.empty() && sessions_.reclaimer().pending() == 0;
  }

 private:
  struct Draining {
    ReceiverIndex index;
    uint64_t until;
  };
  BenchSessions& sessions_;
  std::deque<Draining> draining_;
  uint32_t next_ = 0;
};

/// For each direction: while sessions jump, then without.
std::vector<BenchCell> load_cells(const JumpLoadOptions& options) {
  std::vector<BenchCell> cells;
  for (const Direction direction : kWays)
    for (const bool jumps : {true, false})
      cells.push_back({0, direction, {static_cast<uint16_t>(options.bytes)}, Team::kAll, jumps});
  return cells;
}

/// Fails when more than a few packets were dropped: then something else was measured.
Result<Measured> measure_jump_load(const JumpLoadOptions& options) {
  BenchOptions phases;  // a run: one phase of each cell
  phases.runs = options.pairs;
  phases.seconds = 0;
  phases.batch = kLoadBatch;
  phases.seed = options.seed;
  const auto bench = start_bench({{{options.sessions}, 1, kLoadBatch}}, true);
  if (!bench) return bench.error();
  BenchRig& rig = *bench->rigs.front();
  Jumper jumper(rig.sessions());
  PacedUpdates jumps(
      rig.worker(), options.jumps_per_second, nullptr,
      {[&](bool felt) { return felt && jumper.jump(); }, [&] { return jumper.retire_drained(); }});
  // Until old indices drain as fast as new ones come.
  const auto settle = [&](const BenchCell& cell) {
    jumps.direct(cell.updates);
    for (const uint64_t end = rte_rdtsc() + cycles_of_ms(2 * kDrainMs); rte_rdtsc() < end;)
      rig.worker().poll_once();
  };
  const auto crew = BenchCrew::measure(bench->rigs, load_cells(options),
                                       {.bench = phases,
                                        .phase_ms = std::max(options.slice_ms / 2, 1U),
                                        .raw = false,
                                        .before = settle},
                                       [&] { jumps.turn(); });
  if (!crew) return crew.error();
  const uint64_t packets = rig.gateway().received();
  const uint64_t dropped = rig.gateway().all_drops();
  if (dropped > packets / kMostDropped)
    return Error{fmt::format("the worker dropped {} of {} packets", dropped, packets)};
  const Json facts{
      {"jumps_per_s", jumps.per_second()},
      {"publish_us", jumps.publish_us()},
      {"sessions", options.sessions},
      {"bytes", options.bytes},
      {"slice_ms", options.slice_ms},
      {"control_core", "equally busy in both kinds of slices: only the publishing differs"},
      {"packets", packets},
      {"dropped_packets", dropped},
      {"seed", options.seed}};
  return Measured{{{"cells", (*crew)->cells()}, {"facts", facts}}};
}

}  // namespace

void add_jump_load_options(CLI::App& parser, JumpLoadOptions& options) {
  add_number(parser, "--sessions", options.sessions, 1, 10'000, "sessions that carry the traffic");
  add_number(parser, "--jumps-per-second", options.jumps_per_second, 1, 100'000,
             "of all sessions together");
  add_number(parser, "--pairs", options.pairs, 1, 10'000,
             "of slices, one with jumps and one without");
  add_number(parser, "--slice-ms", options.slice_ms, 10, 10'000, "length of a slice");
  add_number(parser, "--bytes", options.bytes, 64, 1'400, "of an inner packet");
  add_seed(parser, options.seed);
  add_json(parser, options.json);
}

Command add_jump_load(CLI::App& app) {
  return make_command(
      app, "jump-load",
      "How much slower a worker gets because sessions jump, between in-memory ports",
      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"}, add_jump_load_options,
      measure_jump_load);
}

}  // namespace jvpn::perf
