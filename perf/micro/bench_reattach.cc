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
#include <cstring>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "control/events/event_log.h"
#include "control/session/system_sources.h"
#include "perf/harness/engine_node.h"

namespace jvpn {
namespace {

enum class What : uint8_t { kWarm, kCold, kWhole, kTold };

constexpr uint64_t kSwitchesPerMin = 60;
constexpr Millis kGenerationLasts{150'000};  // then keys would be refused: everything anew
constexpr uint16_t kNetworks = 3;

session::EngineConfig config_for(What what, uint32_t slot_bits) {
  session::EngineConfig config = perf::jumping_config(slot_bits);
  if (what == What::kCold) config.policy.transport.candidate_validation_ttl = Millis{0};
  return config;
}

/// Counts the bindings that were committed.
class Responder : public perf::EngineNode {
 public:
  void install_tx(const session::TxInstall&) override { ++commits; }
  void emit(const session::Event& event) override {
    if (log) log->put(event);
  }
  void applied() override {
    if (log) log->wake();
  }
  void random(std::span<uint8_t> bytes) override {
    log ? session::fill_random(bytes) : test::SilentHost::random(bytes);
  }

  uint64_t commits = 0;
  std::unique_ptr<events::EventLog> log;
};

class World : perf::EngineWorld<Responder> {
 public:
  World(uint32_t sessions, What what) : what_(what), jumps_(sessions) {
    if (what == What::kTold) {
      gateway.log = std::make_unique<events::EventLog>(
          events::EventLogOptions{.node = "gw1", .sinks = {}, .report = {}});
      gateway.log->start();
    }
    for (uint32_t i = 0; i < sessions; ++i)
      peers.push_back(std::make_unique<perf::EngineNode>(i + 7));
    if (!start(config_for(what, 16), config_for(what, 6))) std::abort();
    for (uint32_t i = 0; i < sessions; ++i) connect(i);
  }

  bool worn_out() const { return now - born_ > kGenerationLasts; }

  /// The session's next jump; the seconds that the gateway had to do with it. 0: there was none.
  double jump(uint32_t session) {
    perf::EngineNode& initiator = *peers[session];
    const uint64_t rate = kSwitchesPerMin * peers.size();
    now = now + Millis{(60'000 + rate - 1) / rate};
    spent_ = {};
    timed_ = what_ == What::kWhole;
    time([&] { gateway.engine->advance(now); });
    initiator.engine->advance(now);
    deliver(initiator);
    const uint64_t before = gateway.commits;
    timed_ = true;
    initiator.engine->jump(now, perf::kGatewayPeer,
                           path_of(session, ++jumps_[session] % kNetworks));
    deliver(initiator);
    if (gateway.commits == before) return 0;
    return std::chrono::duration<double>(spent_).count();
  }

 private:
  void connect(uint32_t session) {
    perf::EngineNode& initiator = *peers[session];
    engine::SessionEngine& engine = *initiator.engine;
    const std::vector<Path> paths{path_of(session, 0), path_of(session, 1), path_of(session, 2)};
    engine.dial(now, perf::kGatewayPeer, paths[0]);
    engine.advance(now);
    deliver(initiator);
    engine.set_candidates(now, perf::kGatewayPeer, paths);
    deliver(initiator);
  }

  template <typename Call>
  void time(Call&& call) {
    const auto begun = std::chrono::steady_clock::now();
    call();
    if (timed_) spent_ += std::chrono::steady_clock::now() - begun;
  }

  void deliver(perf::EngineNode& initiator) {
    settle(
        initiator, [&](const Path& path, auto& bytes) { gateway_gets(path, bytes); },
        [&](auto& peer, const Path& path, auto& bytes) {
          test::give(*peer.engine, now, path, bytes);
        });
  }

  /// But for `whole`, the clock stops with the commit.
  void gateway_gets(const Path& path, std::vector<uint8_t>& bytes) {
    if (wire::MessageType{bytes[0]} != wire::MessageType::kControl)
      return gateway.engine->on_handshake(now, path, bytes, std::nullopt);
    wire::TransportHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const uint64_t before = gateway.commits;
    if (const auto opened = gateway.engine->open_control(bytes))
      time([&] {
        gateway.engine->on_control(now, path, ReceiverIndex{header.receiver}, opened->counter,
                                   opened->plaintext);
      });
    if (gateway.commits != before && what_ != What::kWhole) timed_ = false;
  }

  const What what_;
  const Millis born_ = now;
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
