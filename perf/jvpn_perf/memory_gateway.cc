#include "perf/jvpn_perf/memory_gateway.h"

#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>

namespace jvpn::perf {
namespace {

constexpr uint32_t kPoolPackets = 16'383;
constexpr uint32_t kPortRing = 1'024;
constexpr uint32_t kControlRing = 512;
constexpr uint16_t kMtu = 1'500;
constexpr std::array<uint8_t, 6> kLanHostMac{0x02, 0, 0, 0, 0, 0x33};

Error failure(const char* what) {
  return Error{fmt::format("in-memory gateway: {}: {}", what, rte_strerror(rte_errno))};
}

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

}  // namespace

Result<void> start_eal() {
  std::array<const char*, 11> arguments{
      "jvpn-perf",           "--no-huge",        "--no-shconf", "--no-pci",
      "--no-telemetry",      "--iova-mode=va",   "-m",          "1024",
      "--log-level=lib.*:4", "--lcores=0@0,1@1", nullptr};
  if (rte_eal_init(static_cast<int>(arguments.size() - 1), const_cast<char**>(arguments.data())) <
      0)
    return Error{fmt::format("DPDK can't start: {}", rte_strerror(rte_errno))};
  return {};
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

Result<std::unique_ptr<MemoryGateway>> MemoryGateway::create(uint32_t peers) {
  std::unique_ptr<MemoryGateway> gateway(new MemoryGateway);
  if (auto done = gateway->set_up(peers); !done) return done.error();
  return gateway;
}

Result<void> MemoryGateway::set_up(uint32_t peers) {
  auto pool = make_pool("perf", kPoolPackets, kMtu);
  if (!pool) return pool.error();
  pool_.reset(*pool);
  rcu_.reset(
      static_cast<rte_rcu_qsbr*>(rte_zmalloc(nullptr, rte_rcu_qsbr_get_memsize(1), kCacheLine)));
  if (!rcu_ || rte_rcu_qsbr_init(rcu_.get(), 1) != 0) return failure("RCU");
  auto sessions = SessionTable::create(peers);
  if (!sessions) return sessions.error();
  sessions_ = *std::move(sessions);
  for (const uint16_t port : {kWan, kLan})
    if (auto made = make_port(port); !made) return made;
  if (auto added = add_routes(peers); !added) return added;
  if (auto made = make_worker(); !made) return made;
  reclaimer_ = std::make_unique<Reclaimer>(rcu_.get());
  auto publisher = Publisher::create(*sessions_, *reclaimer_, infos_, 1);
  if (!publisher) return publisher.error();
  publisher_ = *std::move(publisher);
  return {};
}

Result<MemoryGateway::Ring> MemoryGateway::make_ring(uint32_t packets) {
  const std::string name = fmt::format("perf{}", rings_made_++);
  Ring ring(rte_ring_create(name.c_str(), packets, SOCKET_ID_ANY,
                            RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ));
  if (!ring) return failure("ring");
  return ring;
}

Result<void> MemoryGateway::make_port(uint16_t number) {
  auto& rings = ports_rings_.emplace_back();
  for (Ring* place : {&rings.rx, &rings.tx}) {
    auto ring = make_ring(kPortRing);
    if (!ring) return ring.error();
    *place = *std::move(ring);
  }
  const std::string name = number == kWan ? "wan" : "lan";
  rte_ring* rx = rings.rx.get();
  rte_ring* tx = rings.tx.get();
  if (rte_eth_from_rings(name.c_str(), &rx, 1, &tx, 1, 0) < 0) return failure("ring port");
  PortProfile profile;
  profile.name = name;
  profile.vdev = "net_ring_" + name;
  profile.role = number == kWan ? PortRole::kOutside : PortRole::kInside;
  profile.mtu = kMtu;
  profile.addresses = {prefix(number == kWan ? "192.0.2.1/24" : "10.0.0.1/24")};
  auto port = Port::open(profile, {number, 1, pool_.get()});
  if (!port) return port.error();
  infos_.push_back(port->info());
  ports_.push_back(*std::move(port));
  return {};
}

Result<void> MemoryGateway::add_routes(uint32_t peers) {
  auto routes = RouteTable::create({peers + 64, 16, 0, 0}, rcu_.get());
  if (!routes) return routes.error();
  routes_ = *std::move(routes);
  lan_host_.port = kLan;
  lan_host_.mtu = kMtu;
  std::copy(kLanHostMac.begin(), kLanHostMac.end(), lan_host_.ethernet);
  sessions_->store_next_hop(0, &lan_host_);
  if (auto added = routes_->add({lan_host(), 32}, Target::next_hop(0)); !added) return added;
  for (uint32_t peer = 0; peer < peers; ++peer) {
    auto added = routes_->add({inner_host_of(peer), 32}, Target::peer(PeerId{peer}));
    if (!added) return added;
  }
  return routes_->commit();
}

Result<void> MemoryGateway::make_worker() {
  rings_.resize(1);
  const auto own = [&](rte_ring*& place) -> Result<void> {
    auto ring = make_ring(kControlRing);
    if (!ring) return ring.error();
    place = own_rings_.emplace_back(*std::move(ring)).get();
    return {};
  };
  for (rte_ring*& punt : rings_[0].punt)
    if (auto made = own(punt); !made) return made;
  if (auto made = own(rings_[0].inject); !made) return made;
  WorkerConfig config;
  config.queues = {{kWan, 0}, {kLan, 0}};
  config.sessions = sessions_.get();
  config.routes = routes_.get();
  config.rcu = rcu_.get();
  config.rings = rings_;
  config.ports = infos_;
  config.counters = &counters_;
  config.mac1 = &mac1_;
  config.cookies = &cookies_;
  config.listen_port = kListenPort;
  auto worker = Worker::create(config);
  if (!worker) return worker.error();
  worker_ = *std::move(worker);
  return {};
}

uint64_t MemoryGateway::all_drops() const {
  uint64_t sum = 0;
  for (const auto& drops : counters_.drops) sum += drops.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace jvpn::perf
