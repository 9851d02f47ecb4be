// What reading a profile costs: most of a reload's time, on a thread of its own.
#include <array>
#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "common/profile.h"

namespace jvpn {
namespace {

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

void parse_peers(benchmark::State& state) {
  const auto peers = static_cast<uint32_t>(state.range(0));
  const std::string text = gateway_with_peers(peers);
  while (state.KeepRunning()) {
    auto profile = parse_gateway_profile(text, "p");
    if (!profile) state.SkipWithError(profile.error().message.c_str());
    benchmark::DoNotOptimize(profile);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(parse_peers)->Arg(16)->Arg(1'024)->Arg(16'384)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace jvpn
