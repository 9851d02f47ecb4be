#include "perf/pipeline/memory_gateway.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <rte_lcore.h>
#include <rte_malloc.h>

#include "tests/support/eal.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kControlRing = 512;
constexpr uint32_t kControlPackets = 63;  ///< control sends none here

GatewayProfile profile_of(const MemoryGateway::Options& options) {
  GatewayProfile profile = test::wan_and_lan(options.workers);
  profile.cores.tuning = options.tuning;
  profile.limits.mbufs = options.packets;
  profile.limits.control_mbufs = kControlPackets;
  profile.limits.control_ring = kControlRing;
  profile.limits.handoff_ring = kControlRing;
  return profile;
}

}  // namespace

Result<void> start_eal(const EalOptions& options) {
  const uint32_t cpus = std::max(std::thread::hardware_concurrency(), 1U);
  test::EalOptions eal{.megabytes = static_cast<uint32_t>(options.megabytes),
                       .hugepages = options.hugepages};
  for (uint32_t worker = 0; worker < options.workers; ++worker)
    eal.workers.push_back((worker + 1) % cpus);
  static auto started = test::start_eal(eal);  // until the process ends
  if (!started) return started.error();
  return {};
}

size_t heap_in_use() {
  size_t sum = 0;
  for (unsigned socket = 0; socket < rte_socket_count(); ++socket) {
    rte_malloc_socket_stats stats{};
    if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(socket), &stats) == 0)
      sum += stats.heap_allocsz_bytes;
  }
  return sum;
}

IpAddress inner_host_of(uint32_t peer) {
  return IpAddress::v4({10, static_cast<uint8_t>(1 + (peer >> 16)), static_cast<uint8_t>(peer >> 8),
                        static_cast<uint8_t>(peer)});
}
IpAddress lan_host() {
  return IpAddress::v4({10, 0, 0, 2});
}
Endpoint outer_of(uint32_t peer, uint16_t port) {
  return {IpAddress::v4({172, static_cast<uint8_t>(16 + (peer >> 16)),
                         static_cast<uint8_t>(peer >> 8), static_cast<uint8_t>(peer)}),
          port};
}
Endpoint gateway_outer() {
  return {IpAddress::v4({192, 0, 2, 1}), kListenPort};
}

MemoryGateway::MemoryGateway(test::RingGateway rings, size_t empty_table_bytes)
    : rings_(std::move(rings)),
      pool_(rings_.pool()),
      empty_table_bytes_(empty_table_bytes),
      heap_before_routes_(heap_in_use()) {}

Result<std::unique_ptr<MemoryGateway>> MemoryGateway::create(const Options& options) {
  const size_t heap = heap_in_use();
  auto tables = Tables::create(options.workers, options.peers, {options.peers + 64, 16, 0, 0});
  if (!tables) return tables.error();
  const size_t empty_table_bytes = heap_in_use() - heap;
  auto rings =
      test::RingGateway::create(profile_of(options), {}, *std::move(tables), options.port_ring);
  if (!rings) return rings.error();
  std::unique_ptr<MemoryGateway> gateway(new MemoryGateway(*std::move(rings), empty_table_bytes));
  if (auto added = gateway->add_routes(options.peers); !added) return added.error();
  if (auto made = gateway->make_publisher(); !made) return made.error();
  return gateway;
}

Result<void> MemoryGateway::make_publisher() {
  Dataplane& dataplane = rings_.dataplane();
  reclaimer_ = std::make_unique<publish::Reclaimer>(dataplane.rcu());
  auto publisher = publish::Publisher::create(dataplane.sessions(), *reclaimer_, dataplane.ports(),
                                              static_cast<uint16_t>(rings_.workers()));
  if (!publisher) return publisher.error();
  publisher_ = *std::move(publisher);
  return {};
}

Result<void> MemoryGateway::add_routes(uint32_t peers) {
  RouteTable& routes = rings_.dataplane().routes();
  lan_host_.port = kLan;
  lan_host_.mtu = ports()[kLan].mtu;
  lan_host_.set_addresses(test::kHostMac, ports()[kLan].mac);
  rings_.dataplane().sessions().store_next_hop(0, &lan_host_);
  if (auto added = routes.add({lan_host(), 32}, Target::next_hop(0)); !added) return added;
  for (uint32_t peer = 0; peer < peers; ++peer) {
    auto added = routes.add({inner_host_of(peer), 32}, Target::peer(PeerId{peer}));
    if (!added) return added;
  }
  return routes.commit();
}

}  // namespace jvpn::perf
