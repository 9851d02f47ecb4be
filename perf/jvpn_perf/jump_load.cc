#include "perf/jvpn_perf/jump_load.h"

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
#include "perf/jvpn_perf/bench_sessions.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/load_traffic.h"
#include "perf/jvpn_perf/memory_gateway.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kLoadLcore = 1;
constexpr uint64_t kDrainMs = 5;
constexpr uint64_t kWarmUpMs = 300;
// A poll that took so many times the usual was interrupted by something else.
constexpr uint64_t kInterruptedPoll = 4;

// A few packets meet an index that drained while the worker's lcore was off its CPU.
constexpr uint64_t kMostDropped = 1'000;

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
        most_behind_(rte_get_tsc_hz() / 10) {
    std::mt19937_64 random(1);
    for (LoadPeer& peer : peers_)
      for (RawKey* key : {&peer.to_gateway, &peer.to_peer, &peer.control})
        for (uint8_t& byte : *key) byte = static_cast<uint8_t>(random());
  }

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
    if (jumps_ == 0) return 0;
    return static_cast<double>(spent_) * 1e6 /
           (static_cast<double>(jumps_) * static_cast<double>(rte_get_tsc_hz()));
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
    fresh.to_gateway = peer.to_gateway;
    fresh.to_peer = peer.to_peer;
    fresh.control = peer.control;
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
         const JumpLoadOptions& options, uint64_t seed)
      : gateway_(gateway), traffic_(traffic), shared_(shared), options_(options), random_(seed) {}

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
    return jumping_tsc_ == 0 ? 0
                             : static_cast<double>(jumps_) * static_cast<double>(rte_get_tsc_hz()) /
                                   static_cast<double>(jumping_tsc_);
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
    return static_cast<double>(sum.packets) * static_cast<double>(rte_get_tsc_hz()) /
           (1e6 * static_cast<double>(sum.tsc));
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

}  // namespace

Result<JumpLoadResults> run_jump_load(const JumpLoadOptions& options) {
  if (auto started = start_eal({}); !started) return started.error();
  auto gateway = MemoryGateway::create({.peers = options.sessions});
  if (!gateway) return gateway.error();
  std::vector<LoadPeer> peers(options.sessions);
  Jumper jumper(**gateway, peers, options.jumps_per_second);
  if (!jumper.attach_all()) return Error{"the publisher refused a session: not enough memory?"};
  LoadTraffic traffic(**gateway, peers, options.bytes);

  JumpLoadResults results;
  results.seed = options.seed != 0 ? options.seed : std::random_device{}();
  Shared shared;
  Slices slices(**gateway, traffic, shared, options, results.seed);
  if (rte_eal_remote_launch(run_slices, &slices, kLoadLcore) != 0)
    return Error{"lcore 1 can't be launched"};
  jumper.run(shared);
  rte_eal_wait_lcore(kLoadLcore);
  results.pairs = std::move(slices.pairs);
  results.jumps_per_s = slices.jumps_per_s();
  results.publish_us = jumper.publish_us();
  results.interrupted = interrupted();
  results.packets = (*gateway)->counters().rx_packets.load();
  results.dropped = (*gateway)->all_drops();
  if (results.dropped > results.packets / kMostDropped)
    return Error{
        fmt::format("the worker dropped {} of {} packets", results.dropped, results.packets)};
  if (const uint64_t refused = (*gateway)->publisher().failures(); refused != 0)
    return Error{fmt::format("the publisher refused {} bindings", refused)};
  return results;
}

}  // namespace jvpn::perf
