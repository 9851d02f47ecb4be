// Cost of the data plane's parts between the AEADs: slots, windows, routes, headers; and what the
// control core pays for a binding update.
#include <array>
#include <memory>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

#include "common/route_table.h"
#include "common/session_table.h"
#include "common/tunnel_header.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "dataplane/handles.h"
#include "dataplane/seal.h"
#include "tests/support/eal.h"
#include "tests/support/must.h"

namespace jvpn {
namespace {

/// DPDK's memory, once in the process.
void need_eal() {
  static const Eal running = test::must(test::start_eal({.megabytes = 1'536}));
}

/// Without readers: a grace period is over at once.
Rcu idle_rcu() {
  need_eal();
  return test::must(make_rcu(1));
}

constexpr size_t kDraws = 65'536;

/// Numbers below `bound`, in the order in which they are asked for.
std::vector<uint32_t> draws(uint32_t bound) {
  std::mt19937 random(1);
  std::uniform_int_distribution<uint32_t> below(0, bound - 1);
  std::vector<uint32_t> numbers(kDraws);
  for (uint32_t& number : numbers) number = below(random);
  return numbers;
}

void count_items(benchmark::State& state, size_t per_iteration) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(per_iteration));
}

IpAddress host_of(uint32_t number) {
  return IpAddress::v4({10, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                        static_cast<uint8_t>(number)});
}
uint32_t be32_of(uint32_t number) {
  uint32_t word;
  __builtin_memcpy(&word, host_of(number).bytes.data(), sizeof word);
  return word;
}

/// A burst as the worker does it: slots, records, then the first line of each.
template <typename Record, typename Store, typename Load>
void look_up(benchmark::State& state, Store store, Load load) {
  need_eal();
  const auto sessions = static_cast<uint32_t>(state.range(0));
  SessionTable table(sessions);
  std::vector<Record> records(sessions);
  for (uint32_t i = 0; i < sessions; ++i) store(table, i, &records[i]);
  const std::vector<uint32_t> numbers = draws(sessions);
  std::array<const Record*, kDefaultBurst> found{};
  size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (size_t i = 0; i < kDefaultBurst; ++i) {
      found[i] = load(table, numbers[at + i]);
      rte_prefetch0(found[i]);
    }
    for (const Record* record : found) {
      auto lanes = record->lanes;
      benchmark::DoNotOptimize(lanes);
    }
    at = (at + kDefaultBurst) % kDraws;
  }
  count_items(state, kDefaultBurst);
}

void receive_slot(benchmark::State& state) {
  look_up<RxRecord>(
      state,
      [](auto& table, uint32_t i, auto* record) { table.store_rx(ReceiverIndex{i}, record); },
      [](auto& table, uint32_t i) { return table.rx(i); });
}

void transmit_slot(benchmark::State& state) {
  look_up<TxRecord>(
      state, [](auto& table, uint32_t i, auto* record) { table.store_tx(PeerId{i}, record); },
      [](auto& table, uint32_t i) { return table.tx(PeerId{i}); });
}

/// Before the cipher and after it, as each packet does; `swap`: every two came in reverse.
void replay_window(benchmark::State& state) {
  const auto swap = static_cast<uint64_t>(state.range(0));
  auto window = std::make_unique<ReplayWindow<kReplayWindowBits>>();
  uint64_t sequence = 0;
  for ([[maybe_unused]] auto _ : state) {
    const uint64_t number = sequence++ ^ swap;
    benchmark::DoNotOptimize(window->check(number));
    benchmark::DoNotOptimize(window->accept(number));
  }
  count_items(state, 1);
}

/// Prefixes of a length side by side, and destinations within them, a burst at a time.
void look_up_routes(benchmark::State& state, const RouteTable::Sizes& sizes, uint8_t length) {
  const Rcu rcu = idle_rcu();
  const auto routes = *RouteTable::create(sizes, rcu.get());
  const auto prefixes = static_cast<uint32_t>(state.range(0));
  const unsigned host_bits = 32U - length;
  for (uint32_t i = 0; i < prefixes; ++i)
    if (!routes->add({host_of(i << host_bits), length}, Target::peer(PeerId{i})))
      return state.SkipWithError("a route was refused");
  const std::vector<uint32_t> numbers = draws(prefixes << host_bits);
  std::vector<uint32_t> addresses(kDraws);
  for (size_t i = 0; i < kDraws; ++i) addresses[i] = be32_of(numbers[i]);
  std::array<Target, kDefaultBurst> targets;
  size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    routes->lookup_v4(std::span(addresses).subspan(at, kDefaultBurst), targets);
    benchmark::DoNotOptimize(targets);
    at = (at + kDefaultBurst) % kDraws;
  }
  count_items(state, kDefaultBurst);
}

void route_hosts(benchmark::State& state) {
  look_up_routes(state, {static_cast<uint32_t>(state.range(0)), 8, 0, 0}, 32);
}

/// Sparse host routes: what they cost to add and to keep.
void add_routes(benchmark::State& state) {
  const Rcu rcu = idle_rcu();
  const bool v4 = state.range(0) == 4;
  const auto count = static_cast<uint32_t>(state.range(1));
  const auto routes = [&] {
    std::mt19937_64 random(1);
    std::vector<Prefix> prefixes(count);
    for (Prefix& prefix : prefixes) {
      prefix.address.family = v4 ? Family::kIpv4 : Family::kIpv6;
      const uint64_t words[2]{random(), random()};
      __builtin_memcpy(prefix.address.bytes.data(), words, v4 ? 4 : 16);
      prefix.length = v4 ? 32 : 128;
    }
    return prefixes;
  }();
  rte_malloc_socket_stats before{};
  rte_malloc_socket_stats after{};
  for ([[maybe_unused]] auto _ : state) {
    rte_malloc_get_socket_stats(0, &before);
    const auto table = *RouteTable::create({v4 ? count : 8, v4 ? 8 : count, 0, 0}, rcu.get());
    for (uint32_t i = 0; i < count; ++i)
      if (!table->add(routes[i], Target::peer(PeerId{i % kMaxPeers})))
        return state.SkipWithError("a route was refused");
    rte_malloc_get_socket_stats(0, &after);
  }
  count_items(state, count);
  state.counters["bytes_per_route"] =
      static_cast<double>(after.heap_allocsz_bytes - before.heap_allocsz_bytes) / count;
}

/// /24 networks; the hosts' table is asked first, as always.
void route_prefixes(benchmark::State& state) {
  look_up_routes(state, {8, 8, static_cast<uint32_t>(state.range(0)), 0}, 24);
}

TunnelEnds ends_of(bool v4) {
  TunnelEnds ends;
  const char* local = v4 ? "192.0.2.1" : "2001:db8::1";
  const char* remote = v4 ? "198.51.100.7" : "2001:db8:1::7";
  ends.local = {*IpAddress::parse(local), wire::kDefaultPort};
  ends.remote = {*IpAddress::parse(remote), 40'000};
  return ends;
}

void build_header(benchmark::State& state) {
  const bool v4 = state.range(0) == 4;
  auto record = std::make_unique<TxRecord>();
  write_tunnel_header(ends_of(v4), 0, *record);
  alignas(64) std::array<uint8_t, 2 * kCacheLine> frame{};
  constexpr uint64_t kLink = 0x0102'0304'0506'0708;
  uint64_t counter = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (v4)
      seal::write_ipv4(*record, kLink, ++counter, frame.data(), 1'420);
    else
      seal::write_ipv6(*record, kLink, ++counter, frame.data(), 1'420);
    benchmark::ClobberMemory();
  }
  count_items(state, 1);
}

PortInfo outside_port() {
  PortInfo port;
  port.name = "wan";
  port.role = PortRole::kOutside;
  port.mtu = 1'500;
  return port;
}

session::TxInstall update_of(uint32_t session, uint64_t version) {
  session::TxInstall install;
  install.peer = PeerId{session};
  install.binding_version = BindingVersion{version};
  install.key_generation = 1;
  install.peer_index = ReceiverIndex{session + 1};
  install.suite = Suite::kAes128Gcm;
  install.blocks_per_lane = kGcmKeyBlocks;
  const TunnelEnds ends = ends_of(true);
  install.path = {0, ends.local, ends.remote};
  return install;
}

/// One binding of `sessions` after the other, the replaced record reclaimed with it.
void publish_binding(benchmark::State& state) {
  const Rcu rcu = idle_rcu();
  const auto sessions = static_cast<uint32_t>(state.range(0));
  SessionTable table(sessions);
  publish::Reclaimer reclaimer(rcu.get());
  const std::vector<PortInfo> ports{outside_port()};
  const auto publisher = *publish::Publisher::create(table, reclaimer, ports, 1);
  SharedHop next_hop;
  next_hop.set({2, 0, 0, 0, 0, 1}, ports[0].mac);
  uint64_t version = 0;
  for ([[maybe_unused]] auto _ : state) {
    publisher->install_tx(update_of(static_cast<uint32_t>(version % sessions), version), &next_hop);
    ++version;
    reclaimer.reclaim();
  }
  if (publisher->failures() != 0) state.SkipWithError("a binding was refused");
  count_items(state, 1);
}

BENCHMARK(receive_slot)->ArgName("sessions")->Arg(1)->Arg(1'000)->Arg(100'000);
BENCHMARK(transmit_slot)->ArgName("sessions")->Arg(1)->Arg(1'000)->Arg(100'000);
BENCHMARK(replay_window)->ArgName("swapped")->Arg(0)->Arg(1);
BENCHMARK(route_hosts)->ArgName("hosts")->Arg(1)->Arg(1'000)->Arg(100'000);
BENCHMARK(add_routes)
    ->ArgNames({"ip", "routes"})
    ->Args({4, 1'000'000})
    ->Args({6, 1'000'000})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(route_prefixes)->ArgName("prefixes")->Arg(1)->Arg(1'000)->Arg(50'000);
BENCHMARK(build_header)->ArgName("outer")->Arg(4)->Arg(6);
BENCHMARK(publish_binding)->ArgName("sessions")->Arg(1)->Arg(1'000)->Arg(100'000);

}  // namespace
}  // namespace jvpn
