// What the control core's parts cost: state machine, timers, a whole handshake, a heartbeat.
#include <cstdlib>
#include <memory>

#include <benchmark/benchmark.h>

#include "control/engine/timer_wheel.h"
#include "control/session/state_machine.h"
#include "perf/harness/engine_node.h"

namespace jvpn {
namespace {

constexpr Millis kStart{1'000};

session::SessionRecord newborn() {
  session::SessionRecord birth;
  birth.born = birth.entered = kStart;
  return birth;
}

session::SessionRecord attached(const Policy& policy) {
  return step(newborn(), {session::Trigger::kKeyConfirmed}, policy, kStart).record;
}

void fsm_step(benchmark::State& state) {
  const Policy policy;
  const session::SessionRecord birth = newborn();
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
  const session::SessionRecord record = attached(policy);
  for (auto _ : state) {
    benchmark::DoNotOptimize(step(record, {session::Trigger::kTick}, policy, kStart + Millis{500}));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(fsm_idle_tick);

// Both rows of a planned jump, in one step.
void fsm_planned_jump(benchmark::State& state) {
  const Policy policy;
  const session::SessionRecord record = attached(policy);
  const session::SessionEvent event{.trigger = session::Trigger::kReattachCommitted,
                                    .planned = true};
  for (auto _ : state) {
    benchmark::DoNotOptimize(step(record, event, policy, kStart + Millis{100}));
  }
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(fsm_planned_jump);

// Attached → recovering → attached: a link dies and a request is committed.
void fsm_outage(benchmark::State& state) {
  const Policy policy;
  const session::SessionRecord record = attached(policy);
  const Millis now = kStart + Millis{100};
  for (auto _ : state) {
    const session::Step dead = step(record, {session::Trigger::kTransportDead}, policy, now);
    benchmark::DoNotOptimize(
        step(dead.record, {session::Trigger::kReattachCommitted}, policy, now));
  }
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(fsm_outage);

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

/// A gateway with one peer, attached.
struct Pair : perf::EngineWorld<> {
  Pair() {
    session::EngineConfig config;
    config.suites = {Suite::kAes128Gcm};
    config.handshakes_per_s = 1'000'000;
    peers.push_back(std::make_unique<perf::EngineNode>(2));
    if (!start(config, config)) std::abort();
    dial();
  }
  void dial() {
    peers[0]->engine->dial(now, perf::kGatewayPeer, path_of(0, 0));
    settle(*peers[0]);
  }
};

// Both sides' work: initiation, response, confirmation and its answer, supersession of the last.
void session_setup(benchmark::State& state) {
  Pair pair;
  for (auto _ : state) {
    pair.now = pair.now + Millis{1};
    pair.dial();
  }
  uint64_t attached = 0;
  pair.gateway.engine->for_each_session([&](const engine::SessionView&) { ++attached; });
  if (attached != 1) state.SkipWithError("no session came of it");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(session_setup)->Unit(benchmark::kMicrosecond);

// Timer, HEARTBEAT, HEARTBEAT_ACK: what an idle session costs both sides per interval.
void heartbeat(benchmark::State& state) {
  Pair pair;
  for (auto _ : state) {
    pair.now = pair.now + Millis{500};
    pair.peers[0]->engine->advance(pair.now);
    pair.gateway.engine->advance(pair.now);
    pair.settle(*pair.peers[0]);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(heartbeat);

}  // namespace
}  // namespace jvpn
