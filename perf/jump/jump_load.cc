// jvpn-perf jump-load: how much slower a worker gets because sessions jump.
//
//   lcore 1 (CPU 1): peers and LAN hosts make packets, untimed → worker, timed → packets are taken
//   lcore 0 (CPU 0): paces; in every other slice it publishes a jump each time, in the others it
//                    does all but that. So both kinds of slice have an equally busy neighbour.
//
// A jump is what the engine asks of the publisher: the next spare's receive side, the send side
// with fresh lanes, what the peer's lanes counted, and the old index once it has drained.
#include "perf/jump/jump_load.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <random>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "control/session/index_allocator.h"
#include "perf/harness/command.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/jump/load_traffic.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kLoadLcore = 1;
constexpr uint64_t kDrainMs = 5;
constexpr uint64_t kWarmUpMs = 300;
// A poll that took so many times the usual was interrupted by something else.
constexpr uint64_t kInterruptedPoll = 4;

// A few packets meet an index that drained while the worker's lcore was off its CPU.
constexpr uint64_t kMostDropped = 1'000;

double seconds_of(uint64_t cycles) {
  return static_cast<double>(cycles) / static_cast<double>(rte_get_tsc_hz());
}

enum class Mode : uint8_t { kQuiet, kJumping, kOver };

/// What the two lcores tell each other. Each line has the one writer that is named.
struct Shared {
  alignas(64) std::atomic<Mode> wanted{Mode::kQuiet};  ///< worker's lcore
  alignas(64) std::atomic<Mode> mode{Mode::kQuiet};    ///< control: nothing of another mode is left
  std::atomic<uint64_t> jumps{0};                      ///< control
};

/// The control core's side: paces, publishes, reclaims.
class Jumper {
 public:
  Jumper(MemoryGateway& gateway, std::vector<LoadPeer>& peers, uint32_t jumps_per_second)
      : gateway_(gateway),
        peers_(peers),
        indices_(gateway.slot_bits()),
        interval_(rte_get_tsc_hz() / jumps_per_second),
        drain_(rte_get_tsc_hz() * kDrainMs / 1'000),
        most_behind_(rte_get_tsc_hz() / 10) {}

  /// The binding of the handshake, for every peer. False: the publisher refused one.
  bool attach_all() {
    for (uint32_t peer = 0; peer < peers_.size(); ++peer) bind(peer, 0);
    return gateway_.publisher().failures() == 0;
  }

  void run(Shared& shared) {
    uint64_t due = rte_rdtsc();
    for (;;) {
      const Mode wanted = shared.wanted.load(std::memory_order_acquire);
      if (wanted == Mode::kOver) return;
      const uint64_t now = rte_rdtsc();
      const bool turn = now >= due;
      if (turn) due = std::max(due + interval_, now - most_behind_);
      if (turn && wanted == Mode::kJumping) {
        jump();
        shared.jumps.store(++jumps_, std::memory_order_relaxed);
        spent_ += rte_rdtsc() - now;
      }
      retire_drained(now);
      gateway_.reclaimer().reclaim();
      const bool left = !draining_.empty() || gateway_.reclaimer().pending() != 0;
      if (wanted == Mode::kJumping || !left) shared.mode.store(wanted, std::memory_order_release);
      rte_pause();
    }
  }

  double publish_us() const {
    return jumps_ == 0 ? 0 : seconds_of(spent_) * 1e6 / static_cast<double>(jumps_);
  }

 private:
  struct Draining {
    ReceiverIndex index;
    uint64_t until;
  };

  void jump() {
    next_ = static_cast<uint32_t>((next_ + 1) % peers_.size());
    const uint64_t told = peers_[next_].binding.load(std::memory_order_relaxed);
    bind(next_, static_cast<uint16_t>(told + 1));
    draining_.push_back({ReceiverIndex{static_cast<uint32_t>(told >> 32)}, rte_rdtsc() + drain_});
    gateway_.publisher().totals(PeerId{next_});
  }

  void bind(uint32_t number, uint16_t binding) {
    LoadPeer& peer = peers_[number];
    const ReceiverIndex index =
        *indices_.allocate(PeerId{number}, static_cast<uint32_t>(random_()));
    BenchBinding fresh;
    fresh.peer = PeerId{number};
    fresh.number = binding;
    fresh.suite = Suite::kAes128Gcm;
    fresh.index = index;
    fresh.first_lane = LaneId{binding};
    fresh.peer_port = port_on(binding);
    fresh.to_gateway = fresh.to_peer = fresh.control = key_of(number);
    gateway_.publisher().install_rx(rx_of(fresh));
    peer.binding.store(uint64_t{index.value} << 32 | binding, std::memory_order_release);
    gateway_.publisher().install_tx(tx_of(fresh), kPeerMac);
  }

  void retire_drained(uint64_t now) {
    for (; !draining_.empty() && draining_.front().until <= now; draining_.pop_front()) {
      gateway_.publisher().retire_rx(draining_.front().index);
      indices_.release(draining_.front().index);
    }
  }

  MemoryGateway& gateway_;
  std::vector<LoadPeer>& peers_;
  session::IndexAllocator indices_;
  std::mt19937_64 random_{2};
  uint64_t interval_;
  uint64_t drain_;
  uint64_t most_behind_;  ///< that it catches up with when it was off its CPU
  std::deque<Draining> draining_;
  uint32_t next_ = 0;
  uint64_t jumps_ = 0;
  uint64_t spent_ = 0;
};

/// The worker's lcore: slices, one after the other.
class Slices {
 public:
  Slices(MemoryGateway& gateway, LoadTraffic& traffic, Shared& shared,
         const JumpLoadOptions& options)
      : gateway_(gateway),
        traffic_(traffic),
        shared_(shared),
        options_(options),
        random_(options.seed) {}

  void run() {
    gateway_.worker().enter();
    warm_up();
    for (unsigned i = 0; i < options_.pairs && !interrupted(); ++i) {
      SlicePair pair;
      const bool jumping_first = random_() % 2 == 0;
      for (const bool jumping : {jumping_first, !jumping_first}) {
        const double mpps = measure(jumping ? Mode::kJumping : Mode::kQuiet, options_.slice_ms);
        (jumping ? pair.mpps_with : pair.mpps_without) = mpps;
      }
      pairs.push_back(pair);
    }
    shared_.wanted.store(Mode::kOver, std::memory_order_release);
    gateway_.worker().leave();
  }

  double jumps_per_s() const {
    return jumping_tsc_ == 0 ? 0 : static_cast<double>(jumps_) / seconds_of(jumping_tsc_);
  }

  std::vector<SlicePair> pairs;

 private:
  struct Polled {
    uint64_t packets = 0;
    uint64_t tsc = 0;  ///< in the worker alone
  };

  /// Also learns how long a poll usually takes.
  void warm_up() {
    std::vector<uint64_t> spent;
    const uint64_t end = rte_rdtsc() + rte_get_tsc_hz() * kWarmUpMs / 1'000;
    while (rte_rdtsc() < end) spent.push_back(poll().tsc);
    const auto middle = spent.begin() + static_cast<long>(spent.size() / 2);
    std::ranges::nth_element(spent, middle);
    longest_poll_ = kInterruptedPoll * *middle;
  }

  Polled poll() {
    traffic_.give();
    const uint64_t begun = rte_rdtsc();
    const size_t packets = gateway_.worker().poll_once();
    const uint64_t spent = rte_rdtsc() - begun;
    traffic_.take();
    return {packets, spent};
  }

  /// Until control is in that mode and old indices drain as fast as new ones come.
  void settle(Mode mode) {
    shared_.wanted.store(mode, std::memory_order_release);
    const uint64_t least = rte_rdtsc() + rte_get_tsc_hz() * 2 * kDrainMs / 1'000;
    while (shared_.mode.load(std::memory_order_acquire) != mode || rte_rdtsc() < least) poll();
  }

  double measure(Mode mode, uint64_t ms) {
    settle(mode);
    const uint64_t jumps = shared_.jumps.load(std::memory_order_relaxed);
    const uint64_t begun = rte_rdtsc();
    const uint64_t end = begun + rte_get_tsc_hz() * ms / 1'000;
    Polled sum;
    while (rte_rdtsc() < end) {
      const Polled polled = poll();
      if (polled.tsc > longest_poll_) continue;
      sum.packets += polled.packets;
      sum.tsc += polled.tsc;
    }
    if (mode == Mode::kJumping) {
      jumps_ += shared_.jumps.load(std::memory_order_relaxed) - jumps;
      jumping_tsc_ += rte_rdtsc() - begun;
    }
    return static_cast<double>(sum.packets) / (1e6 * seconds_of(sum.tsc));
  }

  MemoryGateway& gateway_;
  LoadTraffic& traffic_;
  Shared& shared_;
  const JumpLoadOptions& options_;
  std::mt19937_64 random_;
  uint64_t longest_poll_ = 0;
  uint64_t jumps_ = 0;
  uint64_t jumping_tsc_ = 0;
};

int run_slices(void* slices) {
  static_cast<Slices*>(slices)->run();
  return 0;
}

Json pairs_json(const std::vector<SlicePair>& pairs) {
  std::vector<double> losses;  // of single pairs: how far they spread
  Json list = Json::array();
  for (const SlicePair& pair : pairs) {
    losses.push_back(throughput_loss_percent({pair}));
    list.push_back({pair.mpps_with, pair.mpps_without});
  }
  return {{"throughput_loss_percent", throughput_loss_percent(pairs)},
          {"loss_percent_p10", percentile(losses, 10)},
          {"loss_percent_p90", percentile(losses, 90)},
          {"mpps_with", median(each_of(pairs, &SlicePair::mpps_with))},
          {"mpps_without", median(each_of(pairs, &SlicePair::mpps_without))},
          {"pairs", std::move(list)}};
}

constexpr const char* kTable =
    "{sessions} sessions, {jumps_per_s:.0f} jumps/s, inner packets of {bytes} bytes, AES-128-GCM, "
    "half sealed, half opened\n\n"
    "without jumps  {mpps_without:.3f} Mpps of one worker\n"
    "with jumps     {mpps_with:.3f} Mpps\n"
    "loss           {throughput_loss_percent:.2f} %, median over pairs of slices (p10 "
    "{loss_percent_p10:.2f} %, p90 {loss_percent_p90:.2f} %)\n"
    "publishing     {publish_us:.1f} us of the control core for a jump\n\n"
    "In slices without jumps the control core spins on the same pacing loop, so that only the\n"
    "publishing differs: the two CPUs may share one core. Order of slices: seed {seed}.\n\n";

/// Fails when more than a few packets were dropped: then something else was measured.
Result<Measured> measure_jump_load(const JumpLoadOptions& options) {
  if (auto started = start_eal({}); !started) return started.error();
  auto gateway = MemoryGateway::create({.peers = options.sessions});
  if (!gateway) return gateway.error();
  std::vector<LoadPeer> peers(options.sessions);
  Jumper jumper(**gateway, peers, options.jumps_per_second);
  if (!jumper.attach_all()) return Error{"the publisher refused a session: not enough memory?"};
  LoadTraffic traffic(**gateway, peers, options.bytes);
  Shared shared;
  Slices slices(**gateway, traffic, shared, options);
  if (rte_eal_remote_launch(run_slices, &slices, kLoadLcore) != 0)
    return Error{"lcore 1 can't be launched"};
  jumper.run(shared);
  rte_eal_wait_lcore(kLoadLcore);
  const uint64_t packets = (*gateway)->counters().rx_packets.load();
  const uint64_t dropped = (*gateway)->all_drops();
  if (dropped > packets / kMostDropped)
    return Error{fmt::format("the worker dropped {} of {} packets", dropped, packets)};
  if (const uint64_t refused = (*gateway)->publisher().failures(); refused != 0)
    return Error{fmt::format("the publisher refused {} bindings", refused)};
  Json json = pairs_json(slices.pairs);
  json.update(
      {{"jumps_per_s", slices.jumps_per_s()},
       {"publish_us", jumper.publish_us()},
       {"sessions", options.sessions},
       {"bytes", options.bytes},
       {"slice_ms", options.slice_ms},
       {"control_core", "equally busy in both kinds of slices: only the publishing differs"},
       {"packets", packets},
       {"dropped_packets", dropped},
       {"seed", options.seed}});
  return Measured{json, render(kTable, json)};
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

double throughput_loss_percent(const std::vector<SlicePair>& pairs) {
  std::vector<double> losses;
  for (const SlicePair& pair : pairs)
    if (pair.mpps_without > 0) losses.push_back(100 * (1 - pair.mpps_with / pair.mpps_without));
  return median(losses);
}

Command add_jump_load(CLI::App& app) {
  return make_command(
      app, "jump-load",
      "How much slower a worker gets because sessions jump, between in-memory ports",
      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"}, add_jump_load_options,
      measure_jump_load);
}

}  // namespace jvpn::perf
