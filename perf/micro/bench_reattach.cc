// What a jump costs the gateway's control core. Workers open control messages there, so the engine
// gets them as plaintext; installs and events go nowhere. Only the responder's calls are timed:
//   warm: REQUEST → checks, commit, ACK
//   cold: REQUEST → checks, CHALLENGE; RESPONSE → checks, commit, ACK
//   whole: all that one warm jump brings: probes of the candidates as they are due, request,
//   heartbeat, timers of the old index
//   told: warm, with an event log
// The initiators are engines, too. Sessions take turns, each within its policy's switch rate; time
// is virtual.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/random.h>

#include "control/events/event_log.h"
#include "perf/harness/engine_node.h"

namespace jvpn {
namespace {

enum class What : uint8_t { kWarm, kCold, kWhole, kTold };

constexpr uint64_t kSwitchesPerMin = 60;
constexpr Millis kGenerationLasts{150'000};  // then keys would be refused: everything anew
constexpr uint16_t kNetworks = 3;
constexpr PeerId kGatewayPeer{0};

/// As the initiator sees it.
Path path_of(uint32_t session, uint64_t jump) {
  const auto network = static_cast<uint8_t>(jump % kNetworks);
  const auto high = static_cast<uint8_t>(session >> 8);
  const auto low = static_cast<uint8_t>(session);
  return {network,
          {IpAddress::v4({10, network, high, low}), 40'000},
          {IpAddress::v4({10, network, 255, 255}), 51'900}};
}
Path from_other_side(const Path& path) {
  return {path.interface, path.remote, path.local};
}
uint32_t session_on(const Path& path) {
  return uint32_t{path.remote.address.bytes[2]} << 8 | path.remote.address.bytes[3];
}

session::EngineConfig config_for(const SecretKey& key, What what, uint32_t slot_bits) {
  session::EngineConfig config;
  config.private_key = key;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = slot_bits;
  config.handshakes_per_s = 1'000'000;
  Policy& policy = config.policy;
  policy.volatility.heartbeat_interval = Millis{60'000};
  policy.volatility.heartbeat_volatile = Millis{120'000};
  policy.volatility.transport_dead = Millis{240'000};
  policy.session.transport_loss_ttl = Millis{480'000};
  policy.switching.max_switches_per_min = 64;
  policy.switching.switch_cooldown = Millis{250};
  policy.transport.candidate_validation_ttl = Millis{what == What::kCold ? 0U : 10'000U};
  policy.security.reattach_rate_per_s = 1'000;
  return config;
}

/// Counts the bindings that were committed.
class Responder : public perf::EngineNode {
 public:
  void install_tx(const session::TxInstall&) override { ++commits; }
  void emit(const session::Event& event) override {
    if (log) log->add(event);
  }
  void random(std::span<uint8_t> bytes) override {
    if (!log) return test::SilentHost::random(bytes);
    static_cast<void>(getrandom(bytes.data(), bytes.size(), 0));
  }

  uint64_t commits = 0;
  std::unique_ptr<events::EventLog> log;
};

/// A gateway with its peers.
class World {
 public:
  World(uint32_t sessions, What what) : what_(what), jumps_(sessions) {
    if (what == What::kTold) {
      gateway_.log = std::make_unique<events::EventLog>(
          events::EventLogOptions{.node = "gw1", .sinks = {}, .report = {}});
      gateway_.log->start();
    }
    SecretKey own;
    gateway_.random(own.span());
    session::EngineConfig config = config_for(own, what, 16);
    std::vector<session::EngineConfig> peers;
    for (uint32_t i = 0; i < sessions; ++i) {
      SecretKey key;
      gateway_.random(key.span());
      config.peers.push_back({"peer", public_key_of(key), {}, {}});
      peers.push_back(config_for(key, what, 6));
      peers.back().peers.push_back({"gateway", public_key_of(own), {}, {}});
    }
    if (!gateway_.start(std::move(config), now_)) std::abort();
    for (uint32_t i = 0; i < sessions; ++i) {
      initiators_.push_back(std::make_unique<perf::EngineNode>(i + 7));
      if (!initiators_[i]->start(std::move(peers[i]), now_)) std::abort();
      connect(i);
    }
  }

  bool worn_out() const { return now_ - born_ > kGenerationLasts; }

  /// The session's next jump; the seconds that the gateway had to do with it. 0: there was none.
  double jump(uint32_t session) {
    perf::EngineNode& initiator = *initiators_[session];
    const uint64_t rate = kSwitchesPerMin * initiators_.size();
    now_ = now_ + Millis{(60'000 + rate - 1) / rate};
    spent_ = {};
    timed_ = what_ == What::kWhole;
    time([&] { gateway_.engine->advance(now_); });
    initiator.engine->advance(now_);
    settle(initiator);
    const uint64_t before = gateway_.commits;
    timed_ = true;
    initiator.engine->jump(now_, kGatewayPeer, path_of(session, ++jumps_[session]));
    settle(initiator);
    if (gateway_.commits == before) return 0;
    return std::chrono::duration<double>(spent_).count();
  }

 private:
  void connect(uint32_t session) {
    perf::EngineNode& initiator = *initiators_[session];
    engine::SessionEngine& engine = *initiator.engine;
    const std::vector<Path> paths{path_of(session, 0), path_of(session, 1), path_of(session, 2)};
    engine.dial(now_, kGatewayPeer, paths[0]);
    engine.advance(now_);
    settle(initiator);
    engine.set_candidates(now_, kGatewayPeer, paths);
    settle(initiator);
  }

  template <typename Call>
  void time(Call&& call) {
    const auto begun = std::chrono::steady_clock::now();
    call();
    if (timed_) spent_ += std::chrono::steady_clock::now() - begun;
  }

  /// Delivers until the initiator and the gateway are silent.
  void settle(perf::EngineNode& initiator) {
    deliver_from(initiator);
    while (!gateway_.sent.empty())
      for (auto& sent : std::exchange(gateway_.sent, {})) {
        perf::EngineNode& receiver = *initiators_[session_on(sent.path)];
        test::give(*receiver.engine, now_, from_other_side(sent.path), sent.bytes);
        deliver_from(receiver);
      }
  }

  /// But for `whole`, the clock stops with the commit.
  void deliver_from(perf::EngineNode& initiator) {
    for (auto& [path, bytes] : std::exchange(initiator.sent, {})) {
      const Path here = from_other_side(path);
      if (wire::MessageType{bytes[0]} != wire::MessageType::kControl) {
        gateway_.engine->on_handshake(now_, here, bytes, std::nullopt);
        continue;
      }
      wire::TransportHeader header;
      std::memcpy(&header, bytes.data(), sizeof header);
      const uint64_t before = gateway_.commits;
      if (const auto plaintext = gateway_.engine->open_control(bytes))
        time([&] {
          gateway_.engine->on_control(now_, here, ReceiverIndex{header.receiver}, header.counter,
                                      *plaintext);
        });
      if (gateway_.commits != before && what_ != What::kWhole) timed_ = false;
    }
  }

  const What what_;
  Millis now_{1'000'000};
  const Millis born_ = now_;
  Responder gateway_;
  std::vector<std::unique_ptr<perf::EngineNode>> initiators_;
  std::vector<uint64_t> jumps_;  ///< by session
  bool timed_ = false;
  std::chrono::steady_clock::duration spent_{};
};

void reattach(benchmark::State& state, What what) {
  const auto sessions = static_cast<uint32_t>(state.range(0));
  std::unique_ptr<World> world;
  uint32_t session = 0;
  for (auto _ : state) {
    if (!world || world->worn_out()) world = std::make_unique<World>(sessions, what);
    const double seconds = world->jump(session);
    if (seconds == 0) return state.SkipWithError("no jump was committed");
    state.SetIterationTime(seconds);
    session = (session + 1) % sessions;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(reattach, warm, What::kWarm)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, cold, What::kCold)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, whole, What::kWhole)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, told, What::kTold)->Arg(64)->UseManualTime();

}  // namespace
}  // namespace jvpn
