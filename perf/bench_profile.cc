// What reading a profile costs: a reload's time on the control thread.
#include <array>
#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "common/profile.h"

namespace jvpn {
namespace {

/// A client's profile whose policy says everything.
std::string client_with_full_policy() {
  return R"(role: client
node: laptop
crypto: {private_key_file: laptop.key}
underlays: [{name: wan0, device: wan0}]
gateway:
  public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  endpoints: ["192.0.2.1:51900"]
  allowed_ips: [10.99.0.0/24]
policy:
  version: 1
  session: {max_lifetime_ms: 28800000, transport_loss_ttl_ms: 15000, idle_max_ms: 25000}
  volatility:
    heartbeat_interval_ms: 500
    heartbeat_volatile_ms: 1000
    transport_dead_ms: 2000
    loss_window_ms: 2000
    loss_min_samples: 20
    loss_volatile_threshold: 0.20
    stability_window_ms: 3000
    volatile_to_recovering_ms: 1500
    volatile_to_degraded_ms: 4000
    max_flaps_per_min: 6
  switching:
    max_switches_per_min: 8
    on_rate_exceeded: degrade
    switch_cooldown_ms: 1500
    max_recovery_window_ms: 10000
    max_recovery_attempts: 3
    recovery_attempt_ms: 2000
    switch_improvement_factor: 1.10
    drain_ms: 250
    failback: never
  transport: {allowed_protocols: [udp], max_candidate_count: 3}
  security: {reattach_proof_max_age_ms: 5000, replay_window: 8192, path_validation: required}
)";
}

std::string gateway_with_peers(uint32_t peers) {
  std::string text = fmt::format(R"(role: gateway
node: gw1
cores: {{workers: [1]}}
ports:
  - {{name: wan0, vdev: net_memif0, role: outside, addresses: [192.0.2.1/24]}}
  - {{name: lan, vdev: net_memif1, role: inside, addresses: [10.99.0.1/24]}}
crypto: {{private_key_file: gw.key}}
limits: {{sessions: {}}}
policy: {{version: 1}}
peers:
)",
                                 peers);
  for (uint32_t i = 0; i < peers; ++i) {
    std::array<uint8_t, 32> key{};
    for (size_t b = 0; b < 4; ++b) key[b] = static_cast<uint8_t>((i + 1) >> (8 * b));
    text += fmt::format("  - {{name: p{}, public_key: {}, allowed_ips: [10.{}.{}.{}/32]}}\n", i,
                        key_to_base64(key), 100 + (i >> 16), (i >> 8) & 255, i & 255);
  }
  return text;
}

void parse_policy(benchmark::State& state) {
  const std::string text = client_with_full_policy();
  while (state.KeepRunning()) {
    const auto profile = parse_client_profile(text, "p");
    if (!profile) state.SkipWithError(profile.error().message.c_str());
    benchmark::DoNotOptimize(profile);
  }
}
BENCHMARK(parse_policy)->Unit(benchmark::kMicrosecond);

void parse_peers(benchmark::State& state) {
  const auto peers = static_cast<uint32_t>(state.range(0));
  const std::string text = gateway_with_peers(peers);
  while (state.KeepRunning()) {
    const auto profile = parse_gateway_profile(text, "p");
    if (!profile) state.SkipWithError(profile.error().message.c_str());
    benchmark::DoNotOptimize(profile);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(parse_peers)->Arg(16)->Arg(1'024)->Arg(16'384)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jvpn
