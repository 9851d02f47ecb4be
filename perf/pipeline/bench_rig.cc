#include "perf/pipeline/bench_rig.h"

#include <algorithm>
#include <bit>
#include <thread>

#include <fmt/format.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "perf/harness/keep.h"
#include "perf/harness/progress.h"
#include "tests/support/eal.h"

namespace jvpn::perf {
namespace {

using test::kLan;

constexpr uint32_t kLeastRing = 1'024;
constexpr uint32_t kPoolCaches = 1'024;   ///< mbufs that may lie in the pool's caches
constexpr size_t kBytesOfPacket = 2'560;  ///< an mbuf with its room
constexpr size_t kBytesOfRoute = 128;
constexpr size_t kFixedBytes = size_t{48} << 20;
constexpr uint32_t kControlRing = 512;
constexpr uint32_t kControlPackets = 63;  ///< control sends none here

uint32_t packets_of(const BenchRig::Options& options) {
  return std::bit_ceil(options.workers * (2 * options.batch + kPoolCaches)) - 1;
}

/// Bytes that are allocated on DPDK's heap.
size_t heap_in_use() {
  size_t sum = 0;
  for (unsigned socket = 0; socket < rte_socket_count(); ++socket) {
    rte_malloc_socket_stats stats{};
    if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(socket), &stats) == 0)
      sum += stats.heap_allocsz_bytes;
  }
  return sum;
}

GatewayProfile profile_of(const BenchRig::Options& options) {
  GatewayProfile profile = test::wan_and_lan(options.workers);
  profile.cores.tuning = options.tuning;
  profile.limits.mbufs = packets_of(options);
  profile.limits.control_mbufs = kControlPackets;
  profile.limits.control_ring = kControlRing;
  profile.limits.handoff_ring = kControlRing;
  return profile;
}

}  // namespace

size_t BenchRig::megabytes(const Options& options) {
  const BenchSessions::Shape& sessions = options.sessions;
  const size_t session = sizeof(RxRecord) + sizeof(RxControl) + sizeof(TxRecord) + sizeof(AeadKey) +
                         kBytesOfRoute +
                         sessions.lanes * (sizeof(RxLane) + sizeof(LaneWords) + sizeof(TxLane));
  const size_t slots = std::bit_ceil(size_t{sessions.count} * kIndicesPerSession) * sizeof(void*);
  const size_t bytes =
      sessions.count * session + slots + size_t{packets_of(options)} * kBytesOfPacket + kFixedBytes;
  return (bytes + bytes / 4) >> 20;  // records keep within pages
}

Result<std::unique_ptr<BenchRig>> BenchRig::create(const Options& options) {
  std::unique_ptr<BenchRig> rig(new BenchRig);
  auto done = rig->make_gateway(options);
  if (done) done = rig->make_raw_keys();
  if (!done) return done.error();
  rig->sequences_.resize(size_t{options.sessions.count} * options.sessions.lanes);
  return rig;
}

Result<void> BenchRig::make_gateway(const Options& options) {
  const uint32_t peers = options.sessions.count;
  const size_t heap = heap_in_use();
  auto tables = Tables::create(options.workers, peers, {peers + 64, 16, 0, 0});
  if (!tables) return tables.error();
  table_bytes_ = heap_in_use() - heap;
  auto rings = test::RingGateway::create(profile_of(options), {}, *std::move(tables),
                                         std::max(kLeastRing, options.batch));
  if (!rings) return rings.error();
  rings_ = std::make_unique<test::RingGateway>(*std::move(rings));
  const size_t heap_before_routes = heap_in_use();
  auto done = add_routes(peers);
  Dataplane& dataplane = rings_->dataplane();
  if (done)
    done =
        keep(sessions_, BenchSessions::create(dataplane.sessions(), dataplane, options.sessions));
  table_bytes_ += heap_in_use() - heap_before_routes;
  return done;
}

Result<void> BenchRig::add_routes(uint32_t peers) {
  Dataplane& dataplane = rings_->dataplane();
  RouteTable& routes = dataplane.routes();
  lan_host_.port = kLan;
  lan_host_.mtu = dataplane.ports()[kLan].mtu;
  lan_host_.set_addresses(test::kHostMac, dataplane.ports()[kLan].mac);
  dataplane.sessions().store_next_hop(0, &lan_host_);
  auto added = routes.add({lan_host(), 32}, Target::next_hop(0));
  for (uint32_t peer = 0; peer < peers && added; ++peer)
    added = routes.add({inner_host_of(peer), 32}, Target::peer(PeerId{peer}));
  return added;
}

Result<void> BenchRig::make_raw_keys() {
  auto aead = Aead::create();
  if (!aead) return aead.error();
  const BenchSessions::Shape& shape = sessions_->shape();
  raw_keys_.reset(static_cast<AeadKey*>(
      rte_malloc("perf_raw_keys", size_t{shape.count} * sizeof(AeadKey), alignof(AeadKey))));
  if (!raw_keys_) return Error{"no DPDK memory for the keys of raw slices"};
  for (uint32_t session = 0; session < shape.count; ++session)
    aead->expand(shape.suite, key_of(session), raw_keys_[session]);
  return {};
}

Result<Bench> start_bench(const std::vector<BenchRig::Options>& rigs, bool small_pages,
                          size_t more_megabytes, uint32_t first_cpu) {
  size_t megabytes = more_megabytes;
  for (const BenchRig::Options& rig : rigs) megabytes += BenchRig::megabytes(rig);
  Bench bench{choose_pages(megabytes, small_pages), {}};
  test::EalOptions eal{.megabytes = static_cast<uint32_t>(megabytes),
                       .hugepages = bench.pages.huge};
  const uint32_t cpus = std::max(std::thread::hardware_concurrency(), 1U);
  for (uint32_t worker = 0; worker < rigs.front().workers; ++worker)
    eal.workers.push_back((worker + first_cpu) % cpus);
  static auto started = test::start_eal(eal);  // until the process ends
  if (!started) return started.error();
  ProgressLine progress;
  for (const BenchRig::Options& options : rigs) {
    progress.show(bench.rigs.size(), rigs.size(),
                  fmt::format("setting up {} sessions", options.sessions.count));
    auto rig = BenchRig::create(options);
    if (!rig) return rig.error();
    bench.rigs.push_back(*std::move(rig));
  }
  return bench;
}

}  // namespace jvpn::perf
