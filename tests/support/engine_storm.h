// Random lives of two session engines: what happens to their paths, their policies and the network
// between them is drawn from a seed. Everything that the engines are told and say can be witnessed.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

/// What happens to the paths, the peers and the network of two engines, drawn from a seed.
class Storm {
 public:
  static World::Adjust policies(uint64_t seed) {
    return [seed](size_t node, EngineConfig& config) {
      Random random(seed ^ (node + 1));
      Policy& policy = config.policy;
      policy.switching.failback_when_stable = Millis{1'000 + random.below(5'000)};
      policy.session.idle_max = Millis{random.below(2) * 10'000};
      policy.session.max_lifetime = Millis{30'000 + random.below(600'000)};
      policy.volatility.jitter_volatile = Millis{60};
      policy.volatility.quality_floor = 0.9;
      policy.switching.max_switches_per_min = static_cast<uint32_t>(2 + random.below(20));
      config.rekey_after = Millis{2'000 + random.below(60'000)};
      config.suites = {Suite{static_cast<uint8_t>(1 + seed % 3)}};
      if (random.below(3) == 0) config.rekey_after_packets = 500 + random.below(5'000);
      if (random.below(3) == 0) config.handshakes_per_s = static_cast<uint32_t>(random.below(2));
      if (random.below(4) == 0) {
        policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
      }
    };
  }

  explicit Storm(uint64_t seed, Recording* recording = nullptr)
      : world(seed, policies(seed), 2, recording), random_(~seed) {
    world.filter = [this](const Datagram& datagram) { return judge(datagram); };
    call_dialler([path = path_between(0, 1)](SessionEngine& engine, Millis now) {
      engine.dial(now, kPeer, path);
    });
    offer();
  }

  /// Some seconds of life; then one more thing happens.
  void go_on() {
    if (random_.below(3) == 0) {
      world.run_for(Millis{1 + random_.below(20'000)});
    } else {
      world.run_with_data(Millis{1 + random_.below(3'000)}, 1 + random_.below(30));
    }
    disturb();
    if (world.sent.size() > 5'000) world.sent.clear();
    check_now();
  }

  /// Every line of both nodes' events obeys the table, without a gap.
  void check_history() {
    for (const size_t i : {size_t{0}, size_t{1}}) {
      std::map<std::array<uint8_t, 16>, std::pair<State, uint64_t>> latest;
      for (const Event& event : world.node(i).events_of(EventKind::kStateChange)) {
        const auto [at, first] =
            latest.try_emplace(event.session.bytes, std::pair(State::kBirth, uint64_t{0}));
        EXPECT_EQ(event.from, at->second.first);
        EXPECT_EQ(event.state_version.value, at->second.second + 1);
        EXPECT_TRUE(legal_row(event.from, event.to, event.reason))
            << to_string(event.from) << ">" << to_string(event.to) << " "
            << to_string(event.reason);
        EXPECT_NE(event.from, State::kTerminated);
        at->second = {event.to, event.state_version.value};
      }
      for (const Event& event : world.node(i).events) {
        if (event.result != nullptr) {
          EXPECT_STRNE(event.result, "violated");
        }
      }
      world.node(i).events.clear();
      states_[i].clear();
    }
  }

  uint64_t inputs() { return world.node(0).told + world.node(1).told; }

  World world;

 private:
  template <typename Call>
  void call_dialler(Call call) {
    world.node(0).tell([call, now = world.now](SessionEngine& engine) { call(engine, now); });
  }

  void offer() {
    std::vector<Path> paths;
    for (size_t network = 0; network < 3; ++network) {
      if (random_.below(5) != 0) paths.push_back(path_between(0, 1, network));
    }
    call_dialler(
        [paths](SessionEngine& engine, Millis now) { engine.set_candidates(now, kPeer, paths); });
  }

  Fate judge(const Datagram& datagram) {
    const bool data = datagram.type() == wire::MessageType::kData;
    return data && random_.chance(data_loss_) ? Fate::kDrop : Fate::kDeliver;
  }

  void disturb() {
    const size_t network = random_.below(3);
    const Path path = path_between(0, 1, network);
    switch (random_.below(20)) {
      case 0:
        world.cut.insert(network);
        break;
      case 1:
      case 2:
        world.cut.clear();
        break;
      case 3:
        call_dialler(
            [path](SessionEngine& engine, Millis now) { engine.path_lost(now, kPeer, path); });
        break;
      case 4:
        offer();
        break;
      case 5:
        call_dialler([path](SessionEngine& engine, Millis now) { engine.jump(now, kPeer, path); });
        break;
      case 6:
        world.weather.loss = 0.4 * static_cast<double>(random_.below(100)) / 100;
        world.weather.duplicate = 0.2;
        break;
      case 7:
        world.weather = {};
        data_loss_ = 0;
        break;
      case 8:
        world.weather.jitter_ms = random_.below(200);
        break;
      case 9:
        data_loss_ = static_cast<double>(random_.below(60)) / 100;
        break;
      case 10:
        replay_something();
        break;
      case 11:
        world.node(1).tell([now = world.now, network](SessionEngine& engine) {
          engine.interface_lost(now, static_cast<uint16_t>(network));
        });
        break;
      case 12: {
        const auto port = static_cast<uint16_t>(40'000 + random_.below(3));
        world.rewrite = [port](Datagram& datagram) {
          if (datagram.from == 0) datagram.path.remote.port = port;
        };
        break;
      }
      case 13:
        world.node(1).tell([now = world.now, hint = random_.below(3)](SessionEngine& engine) {
          engine.ask_jump(now, kPeer, wire::Hint{static_cast<uint8_t>(1 + hint)});
        });
        break;
      case 14:
        set_policy(random_.below(2));
        break;
      case 15:
        if (random_.below(4) == 0) refuse_policy(random_.below(2));
        break;
      case 16:
        dial_back();
        break;
      case 17:
        signal_source();
        break;
      default:
        call_dialler([](SessionEngine& engine, Millis now) { engine.wake(now, kPeer); });
        if (random_.below(6) != 0) break;
        world.node(1).tell([now = world.now](SessionEngine& engine) {
          engine.terminate(now, kPeer, Detail::kPolicyHardStop);
        });
    }
  }

  void set_policy(size_t node) {
    Policy policy = world.engine(node).policy();
    policy.version += 1;
    policy.volatility.heartbeat_interval = Millis{200 + random_.below(800)};
    policy.transport.max_candidate_count = static_cast<uint32_t>(random_.below(4));
    policy.switching.switch_cooldown = Millis{random_.below(3'000)};
    world.node(node).tell(
        [now = world.now, policy](SessionEngine& engine) { engine.set_policy(now, policy); });
  }

  void refuse_policy(size_t node) {
    world.node(node).tell(
        [now = world.now](SessionEngine& engine) { engine.deny_new_sessions(now); });
  }

  /// Both ends call at once, or the dialler again.
  void dial_back() {
    const size_t from = random_.below(3) == 0 ? 1 : 0;
    const Path path = path_between(from, 1 - from, random_.below(3));
    world.node(from).tell(
        [now = world.now, path](SessionEngine& engine) { engine.dial(now, kPeer, path); });
  }

  /// Data under one of node 1's indices is said to have come from somewhere.
  void signal_source() {
    const auto& rx = world.node(1).rx;
    if (rx.empty()) return;
    const auto at = std::next(rx.begin(), static_cast<std::ptrdiff_t>(random_.below(rx.size())));
    const Path from = path_between(1, 0, random_.below(3));
    world.node(1).tell([now = world.now, from, index = ReceiverIndex{at->first}](
                           SessionEngine& engine) { engine.source_changed(now, from, index); });
  }

  /// Old datagrams come again, whole or damaged, from where they came or from elsewhere.
  void replay_something() {
    for (int i = 0; i < 20 && !world.sent.empty(); ++i) {
      Datagram old = world.sent[random_.below(world.sent.size())];
      if (old.type() == wire::MessageType::kData) continue;
      if (random_.below(2) == 0) old.path.remote.port = 1'234;
      const uint64_t damage = random_.below(3);
      if (damage == 0) old.bytes[random_.below(old.bytes.size() - 1) + 1] ^= 1;
      if (damage == 1) old.bytes.resize(1 + random_.below(old.bytes.size()));
      world.deliver(old);
    }
  }

  void check_now() {
    for (const size_t i : {size_t{0}, size_t{1}}) {
      const test::Node& node = world.node(i);
      ASSERT_LE(node.tx.size(), 1U);
      ASSERT_LE(node.rx.size(), size_t{kIndicesPerSession});
      for (const SessionView& view : node.sessions()) {
        const bool carries = view.state == State::kAttached || view.state == State::kVolatile;
        if (carries) {
          EXPECT_EQ(node.tx.size(), 1U);
        }
        const auto [at, first] = states_[i].try_emplace(view.id.bytes, view.version);
        EXPECT_GE(view.version, at->second);
        at->second = view.version;
      }
    }
  }

  Random random_;
  double data_loss_ = 0;
  std::array<std::map<std::array<uint8_t, 16>, StateVersion>, 2> states_;
};

}  // namespace jvpn::test
