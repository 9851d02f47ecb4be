// The engine decides from its inputs alone: a recorded stream of them, with what the host answered
// in between, gives the same events and datagrams in a fresh engine, byte for byte. And in random
// lives of sessions, a million inputs long, no invariant breaks. Every failure prints its seed.
#include <gtest/gtest.h>

#include "tests/unit/jumper.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kInputs = 60'000;  // unoptimised, and slowed down further
#else
constexpr uint64_t kInputs = 1'000'000;
#endif

/// Answers as the recording says, and keeps what the engine says.
class ReplayHost : public SessionHost {
 public:
  explicit ReplayHost(Recording recording) : recording_(std::move(recording)) {}
  void send(const Path& path, std::span<const uint8_t> datagram) override {
    sent.push_back({path, {datagram.begin(), datagram.end()}});
  }
  void install_rx(const RxInstall&) override {}
  void retire_rx(ReceiverIndex) override {}
  void install_tx(const TxInstall&) override {}
  void withdraw_tx(PeerId) override {}
  Activity activity(PeerId) override { return take(recording_.activities); }
  RxProgress rx_progress(ReceiverIndex) override { return take(recording_.progresses); }
  uint16_t inner_mtu(const Path&) override { return 1'400; }
  void configured(PeerId, const wire::ResponsePayload&) override {}
  void emit(const Event& event) override {
    lines += to_json_line(event, ++sequence_, event.at.value, "n1") + "\n";
  }
  void random(std::span<uint8_t> bytes) override {
    const Bytes recorded = take(recording_.randoms);
    ASSERT_EQ(recorded.size(), bytes.size());
    std::ranges::copy(recorded, bytes.begin());
  }
  wire::Timestamp timestamp() override { return take(recording_.timestamps); }
  bool used_up() const {
    return recording_.activities.empty() && recording_.progresses.empty() &&
           recording_.randoms.empty() && recording_.timestamps.empty();
  }

  std::string lines;
  std::vector<std::pair<Path, Bytes>> sent;

 private:
  template <typename T>
  T take(std::deque<T>& from) {
    EXPECT_FALSE(from.empty()) << "the engine asks for more than when it was recorded";
    if (from.empty()) return T{};
    T first = std::move(from.front());
    from.pop_front();
    return first;
  }
  Recording recording_;
  uint64_t sequence_ = 0;
};

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
      if (random.below(4) == 0) {
        policy.switching.on_rate_exceeded = OnRateExceeded::kTerminate;
      }
    };
  }

  explicit Storm(uint64_t seed, Recording* recording = nullptr)
      : world(seed, policies(seed), 2, recording), random_(~seed) {
    world.filter = [this](const Datagram& datagram) { return judge(datagram); };
    tell_dialler([path = path_between(0, 1)](SessionEngine& engine, Millis now) {
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
        if (event.result != nullptr) EXPECT_STRNE(event.result, "violated");
      }
      world.node(i).events.clear();
      states_[i].clear();
    }
  }

  uint64_t inputs() { return world.node(0).told + world.node(1).told; }

  World world;

 private:
  template <typename Call>
  void tell_dialler(Call call) {
    world.node(0).tell([call, now = world.now](SessionEngine& engine) { call(engine, now); });
  }

  void offer() {
    std::vector<Path> paths;
    for (size_t network = 0; network < 3; ++network) {
      if (random_.below(5) != 0) paths.push_back(path_between(0, 1, network));
    }
    tell_dialler(
        [paths](SessionEngine& engine, Millis now) { engine.set_candidates(now, kPeer, paths); });
  }

  Fate judge(const Datagram& datagram) {
    const bool data = datagram.type() == MessageType::kData;
    return data && random_.chance(data_loss_) ? Fate::kDrop : Fate::kDeliver;
  }

  void disturb() {
    const size_t network = random_.below(3);
    const Path path = path_between(0, 1, network);
    switch (random_.below(14)) {
      case 0:
        world.cut.insert(network);
        break;
      case 1:
      case 2:
        world.cut.clear();
        break;
      case 3:
        tell_dialler(
            [path](SessionEngine& engine, Millis now) { engine.path_lost(now, kPeer, path); });
        break;
      case 4:
        offer();
        break;
      case 5:
        tell_dialler([path](SessionEngine& engine, Millis now) { engine.jump(now, kPeer, path); });
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
      default:
        tell_dialler([](SessionEngine& engine, Millis now) { engine.wake(now, kPeer); });
        if (random_.below(6) != 0) break;
        world.node(1).tell([now = world.now](SessionEngine& engine) {
          engine.terminate(now, kPeer, Detail::kPolicyHardStop);
        });
    }
  }

  /// Old datagrams come again, whole or damaged, from where they came or from elsewhere.
  void replay_something() {
    for (int i = 0; i < 20 && !world.sent.empty(); ++i) {
      Datagram old = world.sent[random_.below(world.sent.size())];
      if (old.type() == MessageType::kData) continue;
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
        if (carries) EXPECT_EQ(node.tx.size(), 1U);
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

TEST(EngineReplay, RecordedInputsGiveTheSameEventsByteForByte) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  Recording recording;
  Storm storm(seed, &recording);
  for (int i = 0; i < 60; ++i) storm.go_on();
  const std::string recorded = storm.world.node(1).json_lines();
  ASSERT_FALSE(recorded.empty());

  std::vector<std::pair<Path, Bytes>> sent;
  for (int round = 0; round < 2; ++round) {
    ReplayHost host(recording);
    const auto engine = SessionEngine::create(World::config_from(seed, Storm::policies(seed), 2, 1),
                                              host, Millis{1'000'000})
                            .value()
                            .release();
    const std::unique_ptr<SessionEngine> owned(engine);
    for (const Recording::Input& input : recording.inputs) input(*engine);
    EXPECT_EQ(host.lines, recorded);
    EXPECT_TRUE(host.used_up());
    if (round == 1) EXPECT_EQ(host.sent, sent);
    sent = std::move(host.sent);
  }
}

TEST(EngineReplay, AMillionInputsBreakNothing) {
  uint64_t seed = fresh_seed();
  uint64_t inputs = 0;
  const bool once = std::getenv("JVPN_SEED") != nullptr;
  do {
    SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
    Storm storm(seed++);
    for (int i = 0; i < 200 && !HasFailure(); ++i) storm.go_on();
    storm.check_history();
    inputs += storm.inputs();
  } while (!once && inputs < kInputs && !HasFailure());
  RecordProperty("inputs", std::to_string(inputs));
  std::printf("%lu inputs\n", static_cast<unsigned long>(inputs));
}

}  // namespace
}  // namespace jvpn
