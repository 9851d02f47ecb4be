// What the state machine costs beside its shortest way (bench_engine.cc): jumps and outages.
#include <benchmark/benchmark.h>

#include "control/session/state_machine.h"

namespace jvpn {
namespace {

constexpr Millis kStart{1'000};

session::SessionRecord attached(const Policy& policy) {
  session::SessionRecord birth;
  birth.born = birth.entered = kStart;
  return step(birth, {session::Trigger::kKeyConfirmed}, policy, kStart).record;
}

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

}  // namespace
}  // namespace jvpn
