// What the control core's parts cost: state machine, timers, a whole handshake, a heartbeat.
#include <vector>

#include <benchmark/benchmark.h>

#include "control/engine/engine.h"
#include "control/engine/timer_wheel.h"

namespace jvpn {
namespace {

void fsm_step(benchmark::State& state) {
  const Policy policy;
  session::SessionRecord birth;
  birth.born = birth.entered = Millis{1'000};
  uint64_t steps = 0;
  for (auto _ : state) {
    const session::Step attached =
        step(birth, {session::Trigger::kKeyConfirmed}, policy, Millis{1'001});
    const session::Step ended = step(
        attached.record, {session::Trigger::kTerminate, Detail::kOperator}, policy, Millis{1'002});
    benchmark::DoNotOptimize(ended);
    steps += 2;
  }
  state.SetItemsProcessed(static_cast<int64_t>(steps));
}
BENCHMARK(fsm_step);

void fsm_idle_tick(benchmark::State& state) {
  const Policy policy;
  session::SessionRecord birth;
  birth.born = birth.entered = Millis{1'000};
  const session::SessionRecord record =
      step(birth, {session::Trigger::kKeyConfirmed}, policy, Millis{1'001}).record;
  for (auto _ : state) {
    benchmark::DoNotOptimize(step(record, {session::Trigger::kTick}, policy, Millis{1'500}));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(fsm_idle_tick);

// Every timer half a second ahead, again and again: a gateway full of idle sessions.
void timer_wheel(benchmark::State& state) {
  const auto timers = static_cast<uint32_t>(state.range(0));
  engine::TimerWheel wheel(timers, Millis{0});
  for (uint32_t i = 0; i < timers; ++i) wheel.arm(i, Millis{1 + i % 500});
  uint64_t now = 0;
  uint64_t fired = 0;
  for (auto _ : state) {
    wheel.expire(Millis{++now});
    while (const auto timer = wheel.pop()) {
      wheel.arm(*timer, Millis{now + 500});
      ++fired;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(fired));
}
BENCHMARK(timer_wheel)->Arg(1'000)->Arg(1'000'000);

/// Keeps the latest datagram; installs go nowhere.
class Wire : public session::SessionHost {
 public:
  void apply(const session::Effects& effects) override { effects.carry_out(*this); }
  void send(const Path&, std::span<const uint8_t> datagram) {
    sent.emplace_back(datagram.begin(), datagram.end());
  }
  void install_rx(const session::RxInstall&) {}
  void retire_rx(ReceiverIndex) {}
  void install_tx(const session::TxInstall&) {}
  void withdraw_tx(PeerId) {}
  session::Activity activity(PeerId) override { return {}; }
  session::RxProgress rx_progress(ReceiverIndex) override { return {}; }
  uint16_t inner_mtu(const Path&) override { return 1400; }
  void configured(PeerId, const wire::ResponsePayload&) {}
  void emit(const session::Event&) {}
  void random(std::span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(state_ = state_ * 69'069 + 1);
  }
  wire::Timestamp timestamp() override { return {}; }

  std::vector<std::vector<uint8_t>> sent;

 private:
  uint32_t state_ = 1;
};

struct Pair {
  Pair() {
    SecretKey keys[2];
    for (size_t i = 0; i < 2; ++i) wires[i].random(keys[i].span());
    keys[1].bytes()[5] ^= 1;
    for (size_t i = 0; i < 2; ++i) {
      session::EngineConfig config;
      config.private_key = keys[i];
      config.suites = {Suite::kAes128Gcm};
      config.handshakes_per_s = 1'000'000;
      config.peers.push_back({"peer", public_key_of(keys[1 - i]), {}, {}});
      engines[i] = std::move(*engine::SessionEngine::create(std::move(config), wires[i], now));
    }
  }

  /// Delivers what either side sent until both are silent.
  void settle() {
    while (!wires[0].sent.empty() || !wires[1].sent.empty()) {
      for (size_t from = 0; from < 2; ++from) {
        auto sent = std::move(wires[from].sent);
        wires[from].sent.clear();
        for (auto& datagram : sent) deliver(1 - from, datagram);
      }
    }
  }
  void deliver(size_t to, std::vector<uint8_t>& datagram) {
    if (datagram[0] != static_cast<uint8_t>(wire::MessageType::kControl)) {
      return engines[to]->on_handshake(now, path, datagram, std::nullopt);
    }
    wire::TransportHeader header;
    __builtin_memcpy(&header, datagram.data(), sizeof header);
    const auto plaintext = engines[to]->open_control(datagram);
    if (plaintext) {
      engines[to]->on_control(now, path, ReceiverIndex{header.receiver}, header.counter,
                              *plaintext);
    }
  }

  Wire wires[2];
  std::unique_ptr<engine::SessionEngine> engines[2];
  Millis now{1'000};
  Path path;
};

// Both sides' work: initiation, response, confirmation and its answer, supersession of the last.
void session_setup(benchmark::State& state) {
  Pair pair;
  for (auto _ : state) {
    pair.now = pair.now + Millis{1};
    pair.engines[0]->dial(pair.now, PeerId{0}, pair.path);
    pair.settle();
  }
  uint64_t attached = 0;
  pair.engines[1]->for_each_session([&](const engine::SessionView&) { ++attached; });
  if (attached != 1) state.SkipWithError("no session came of it");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(session_setup)->Unit(benchmark::kMicrosecond);

// Timer, HEARTBEAT, HEARTBEAT_ACK: what an idle session costs both sides per interval.
void heartbeat(benchmark::State& state) {
  Pair pair;
  pair.engines[0]->dial(pair.now, PeerId{0}, pair.path);
  pair.settle();
  for (auto _ : state) {
    pair.now = pair.now + Millis{500};
    for (auto& engine : pair.engines) engine->advance(pair.now);
    pair.settle();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(heartbeat);

}  // namespace
}  // namespace jvpn
