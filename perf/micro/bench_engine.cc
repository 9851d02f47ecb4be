// What the control core's parts cost: state machine, timers, a whole handshake, a heartbeat.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "control/engine/timer_wheel.h"
#include "control/protocol/handshake_messages.h"
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
    session::Step ended = step(attached.record, {session::Trigger::kTerminate, Detail::kOperator},
                               policy, Millis{1'002});
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
  for_each_session(*pair.gateway.engine, [&](const engine::SessionView&) { ++attached; });
  if (attached != 1) state.SkipWithError("no session came of it");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(session_setup)->Unit(benchmark::kMicrosecond);

SecretKey secret_of(uint8_t byte) {
  SecretKey secret;
  secret.bytes().fill(byte);
  return secret;
}

/// From the peer with secret 2 to the gateway with secret 1; their timestamps rise from call to
/// call.
std::vector<wire::Initiation> questions_of(wire::MessageType type, uint32_t& asked) {
  const protocol::Identity peer{secret_of(2), public_key_of(secret_of(2)), {}};
  const PublicKey gateway = public_key_of(secret_of(1));
  std::vector<wire::Initiation> questions(512);
  for (wire::Initiation& each : questions) {
    const SecretKey ephemeral = generate_secret_key();
    wire::Timestamp timestamp;
    timestamp.fill(0xF0);
    ++asked;
    for (size_t i = 0; i < 4; ++i) timestamp[8 + i] = static_cast<uint8_t>(asked >> (24 - 8 * i));
    const protocol::Call call{peer, gateway, Suite::kAes128Gcm, ReceiverIndex{1}, 1, ephemeral};
    const auto payload = protocol::initiation_payload(call, {timestamp});
    if (!protocol::seal_initiation(call, payload, each, type)) std::abort();
  }
  return questions;
}

// What a gateway alone spends on a question: an initiation makes a record, an inquiry nothing.
void answer(benchmark::State& state, wire::MessageType type) {
  session::EngineConfig config;
  config.private_key = secret_of(1);
  config.suites = {Suite::kAes128Gcm};
  config.handshakes_per_s = 1'000'000;
  config.peers.push_back({"peer", public_key_of(secret_of(2)), std::nullopt, {}});
  perf::EngineNode gateway(1);
  Millis now{1'000'000};
  if (!gateway.start(std::move(config), now)) std::abort();
  const Path path{0,
                  {IpAddress::v4({192, 0, 2, 1}), wire::kDefaultPort},
                  {IpAddress::v4({192, 0, 2, 2}), wire::kDefaultPort}};
  std::vector<wire::Initiation> questions;
  uint32_t asked = 0;
  int64_t answered = 0;
  for (auto _ : state) {
    if (questions.empty()) {
      state.PauseTiming();
      questions = questions_of(type, asked);
      std::ranges::reverse(questions);
      state.ResumeTiming();
    }
    const wire::Initiation question = questions.back();
    questions.pop_back();
    now = now + Millis{1};
    gateway.engine->on_handshake(now, path,
                                 {reinterpret_cast<const uint8_t*>(&question), sizeof question},
                                 MacVerdict::kMac1);
    answered += static_cast<int64_t>(gateway.sent.size());
    gateway.sent.clear();
  }
  if (answered != static_cast<int64_t>(state.iterations())) state.SkipWithError("not answered");
}
BENCHMARK_CAPTURE(answer, initiation, wire::MessageType::kInitiation)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(answer, inquiry, wire::MessageType::kInquiry)->Unit(benchmark::kMicrosecond);

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

// ---- What concerns all sessions at once: the longest turn that it costs the control thread.

/// A gateway's engine and its attached sessions. Their peers are gone again.
class Crowd {
 public:
  explicit Crowd(uint32_t sessions) {
    session::EngineConfig config = config_of(generate_secret_key());
    const PublicKey gateway_key = public_key_of(config.private_key);
    std::vector<SecretKey> keys(sessions);
    for (SecretKey& key : keys) {
      key = generate_secret_key();
      config.peers.push_back({"peer", public_key_of(key), std::nullopt, {}});
    }
    if (!gateway_.start(std::move(config), now_)) std::abort();
    for (uint32_t i = 0; i < sessions; ++i) attach(i, std::move(keys[i]), gateway_key);
  }

  engine::SessionEngine& engine() { return *gateway_.engine; }
  /// Runs `turn` again and again until it gives false. Counts its longest time, and that of all
  /// together, which one turn would have cost without slices.
  template <typename Turn>
  void measure(benchmark::State& state, const std::string& name, Turn turn) {
    double longest = 0;
    double total = 0;
    for (bool more = true; more;) {
      const auto begun = std::chrono::steady_clock::now();
      more = turn(now_);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - begun;
      longest = std::max(longest, took.count());
      total += took.count();
      gateway_.sent.clear();
    }
    state.counters[name + "_us"] = longest;
    state.counters[name + "_all_us"] = total;
  }
  Millis& now() { return now_; }

 private:
  static session::EngineConfig config_of(SecretKey key) {
    session::EngineConfig config;
    config.private_key = std::move(key);
    config.suites = {Suite::kAes128Gcm};
    config.slot_bits = 20;
    config.handshakes_per_s = 1'000'000;
    return config;
  }
  void attach(uint32_t number, SecretKey key, const PublicKey& gateway_key) {
    perf::EngineNode peer(number + 2);
    session::EngineConfig config = config_of(std::move(key));
    config.peers.push_back({"gateway", gateway_key, std::nullopt, {}});
    if (!peer.start(std::move(config), now_)) std::abort();
    const auto byte = [&](unsigned shift) { return static_cast<uint8_t>(number >> shift); };
    const Path path{0,
                    {IpAddress::v4({10, byte(16), byte(8), byte(0)}), 40'000},
                    {IpAddress::v4({192, 0, 2, 1}), wire::kDefaultPort}};
    peer.engine->dial(now_, perf::kGatewayPeer, path);
    const Path back = perf::EngineWorld<>::from_other_side(path);
    while (!peer.sent.empty() || !gateway_.sent.empty()) {
      for (auto& sent : std::exchange(peer.sent, {}))
        test::give(*gateway_.engine, now_, back, sent.bytes);
      for (auto& sent : std::exchange(gateway_.sent, {}))
        test::give(*peer.engine, now_, path, sent.bytes);
    }
  }

  Millis now_{1'000'000};
  perf::EngineNode gateway_;
};

void mass_events(benchmark::State& state) {
  const auto sessions = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    Crowd crowd(sessions);
    engine::SessionEngine& engine = crowd.engine();
    const auto after = [&engine](auto begin) {
      return [&engine, begin, begun = false](Millis now) mutable {
        begun ? engine.advance(now) : begin(now);
        begun = true;
        return engine.next_deadline() <= now;
      };
    };
    const auto show = [&engine, from = PeerId{0}](Millis) mutable {
      const auto look = [](const engine::SessionView& view) {
        const auto* at = &view;
        benchmark::DoNotOptimize(at);
      };
      const auto next = engine.visit_sessions(from, look);
      from = next.value_or(PeerId{0});
      return next.has_value();
    };
    crowd.now() = crowd.now() + Millis{1'500};  // heartbeats of all are due
    crowd.measure(state, "timers", after([&](Millis now) { engine.advance(now); }));
    crowd.measure(state, "policy",
                  after([&](Millis now) { engine.set_policy(now, Policy(engine.policy())); }));
    crowd.measure(state, "show", show);
    crowd.measure(state, "link", after([&](Millis now) { engine.interface_lost(now, 0); }));
    crowd.measure(state, "end", after([&](Millis now) { engine.shutdown(now); }));
  }
}
BENCHMARK(mass_events)->Arg(1'000)->Arg(100'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jvpn
