#include "perf/jvpn_perf/memory_gateway.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_lcore.h>

#include "dataplane/eal.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kControlRing = 512;
constexpr uint16_t kMtu = 1'500;
constexpr std::array<uint8_t, 6> kLanHostMac{0x02, 0, 0, 0, 0, 0x33};

Error dpdk_failure(const char* what) {
  return Error{fmt::format("in-memory gateway: {}: {}", what, rte_strerror(rte_errno))};
}

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

/// `0@0,1@1,2@0`: workers from the second CPU on.
std::string lcore_map(uint16_t workers) {
  const unsigned cpus = std::max(std::thread::hardware_concurrency(), 1U);
  std::string map = "0@0";
  for (uint16_t worker = 0; worker < workers; ++worker)
    map += fmt::format(",{}@{}", lcore_of_worker(worker), (worker + 1U) % cpus);
  return map;
}

/// Ports and rings need names of their own.
unsigned next_gateway() {
  static std::atomic<unsigned> made{0};
  return made.fetch_add(1);
}

}  // namespace

Result<void> start_eal(const EalOptions& options) {
  std::vector<std::string> arguments{"jvpn-perf",
                                     "--no-pci",
                                     "--no-telemetry",
                                     "--iova-mode=va",
                                     "--log-level=lib.*:4",
                                     "--lcores=" + lcore_map(options.workers),
                                     "-m",
                                     std::to_string(options.megabytes)};
  // Both leave no files behind; the EAL refuses --in-memory without hugepages.
  if (options.hugepages)
    arguments.emplace_back("--in-memory");
  else
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
  std::vector<char*> pointers;
  pointers.reserve(arguments.size());
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
    return Error{fmt::format("DPDK can't start: {}", rte_strerror(rte_errno))};
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

MemoryGateway::MemoryGateway(const Options& options)
    : options_(options), number_(next_gateway()), counters_(options.workers) {}

Result<std::unique_ptr<MemoryGateway>> MemoryGateway::create(const Options& options) {
  std::unique_ptr<MemoryGateway> gateway(new MemoryGateway(options));
  if (auto done = gateway->set_up(); !done) return done.error();
  return gateway;
}

Result<void> MemoryGateway::set_up() {
  auto pool = make_pool(fmt::format("perf{}", number_), options_.packets, kMtu);
  if (!pool) return pool.error();
  pool_.reset(*pool);
  const size_t rcu_bytes = rte_rcu_qsbr_get_memsize(options_.workers);
  rcu_.reset(static_cast<rte_rcu_qsbr*>(rte_zmalloc(nullptr, rcu_bytes, kCacheLine)));
  if (!rcu_ || rte_rcu_qsbr_init(rcu_.get(), options_.workers) != 0) return dpdk_failure("RCU");
  for (const uint16_t port : {kWan, kLan})
    if (auto made = make_port(port); !made) return made;
  if (auto made = make_worker_rings(); !made) return made;
  heap_before_tables_ = heap_in_use();
  auto sessions = SessionTable::create(options_.peers);
  if (!sessions) return sessions.error();
  sessions_ = *std::move(sessions);
  if (auto added = add_routes(); !added) return added;
  for (uint16_t worker = 0; worker < options_.workers; ++worker)
    if (auto made = make_worker(worker); !made) return made;
  reclaimer_ = std::make_unique<publish::Reclaimer>(rcu_.get());
  auto publisher = publish::Publisher::create(*sessions_, *reclaimer_, infos_, options_.workers);
  if (!publisher) return publisher.error();
  publisher_ = *std::move(publisher);
  return {};
}

Result<MemoryGateway::Ring> MemoryGateway::make_ring(uint32_t packets) {
  const std::string name = fmt::format("perf{}.{}", number_, rings_made_++);
  Ring ring(rte_ring_create(name.c_str(), packets, SOCKET_ID_ANY,
                            RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ));
  if (!ring) return dpdk_failure("ring");
  return ring;
}

Result<void> MemoryGateway::make_port(uint16_t number) {
  PortRings& rings = port_rings_.emplace_back();
  for (std::vector<Ring>* direction : {&rings.rx, &rings.tx}) {
    for (uint16_t worker = 0; worker < options_.workers; ++worker) {
      auto ring = make_ring(options_.port_ring);
      if (!ring) return ring.error();
      direction->push_back(*std::move(ring));
    }
  }
  const std::string name = fmt::format("{}{}", number == kWan ? "wan" : "lan", number_);
  const auto pointers = [](const std::vector<Ring>& from) {
    std::vector<rte_ring*> to;
    to.reserve(from.size());
    for (const Ring& ring : from) to.push_back(ring.get());
    return to;
  };
  std::vector<rte_ring*> rx = pointers(rings.rx);
  std::vector<rte_ring*> tx = pointers(rings.tx);
  if (rte_eth_from_rings(name.c_str(), rx.data(), options_.workers, tx.data(), options_.workers,
                         0) < 0)
    return dpdk_failure("ring port");
  PortProfile profile;
  profile.name = name;
  profile.vdev = "net_ring_" + name;
  profile.role = number == kWan ? PortRole::kOutside : PortRole::kInside;
  profile.mtu = kMtu;
  profile.addresses = {prefix(number == kWan ? "192.0.2.1/24" : "10.0.0.1/24")};
  auto port = Port::open(profile, {number, options_.workers, pool_.get()});
  if (!port) return port.error();
  infos_.push_back(port->info());
  ports_.push_back(*std::move(port));
  return {};
}

Result<void> MemoryGateway::add_routes() {
  auto routes = RouteTable::create({options_.peers + 64, 16, 0, 0}, rcu_.get());
  if (!routes) return routes.error();
  routes_ = *std::move(routes);
  lan_host_.port = kLan;
  lan_host_.mtu = kMtu;
  lan_host_.set_addresses(kLanHostMac, infos_[kLan].mac);
  sessions_->store_next_hop(0, &lan_host_);
  if (auto added = routes_->add({lan_host(), 32}, Target::next_hop(0)); !added) return added;
  for (uint32_t peer = 0; peer < options_.peers; ++peer) {
    auto added = routes_->add({inner_host_of(peer), 32}, Target::peer(PeerId{peer}));
    if (!added) return added;
  }
  return routes_->commit();
}

Result<void> MemoryGateway::make_worker_rings() {
  rings_.resize(options_.workers);
  const auto own = [&](rte_ring*& place) -> Result<void> {
    auto ring = make_ring(kControlRing);
    if (!ring) return ring.error();
    place = own_rings_.emplace_back(*std::move(ring)).get();
    return {};
  };
  for (WorkerRings& rings : rings_) {
    for (rte_ring*& punt : rings.punt)
      if (auto made = own(punt); !made) return made;
    if (auto made = own(rings.inject); !made) return made;
    for (size_t from = 0; from < rings_.size(); ++from) {
      if (&rings_[from] == &rings) continue;
      if (auto made = own(rings.handoff[from]); !made) return made;
    }
  }
  return {};
}

Result<void> MemoryGateway::make_worker(uint16_t number) {
  WorkerConfig config;
  config.number = number;
  config.workers = options_.workers;
  config.queues = {{kWan, number}, {kLan, number}};
  config.sessions = sessions_.get();
  config.routes = routes_.get();
  config.rcu = rcu_.get();
  config.rings = rings_;
  config.ports = infos_;
  config.counters = &counters_[number];
  config.mac1 = &mac1_;
  config.cookies = &cookies_;
  config.listen_port = kListenPort;
  config.tuning = options_.tuning;
  auto worker = Worker::create(config);
  if (!worker) return worker.error();
  workers_.push_back(*std::move(worker));
  return {};
}

uint64_t MemoryGateway::all_drops() const {
  uint64_t sum = 0;
  for (const WorkerCounters& counters : counters_)
    for (const auto& drops : counters.drops) sum += drops.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace jvpn::perf
