#include "dataplane/dataplane.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <unistd.h>

#include "common/dpdk_name.h"
#include "common/secret.h"
#include "common/source_signal.h"
#include "common/thread_sanitizer.h"
#include "dataplane/af_packet.h"
#include "dataplane/eal.h"
#include "dataplane/own_ipsec_mb.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

namespace jvpn {
/// DPDK's by its symbol: the header of 24.11 doesn't say that the function is C's.
rte_ring* ring_of_elements(const char* name, unsigned bytes, unsigned count, int socket,
                           unsigned flags) __asm__("rte_ring_create_elem");

namespace {

struct FreeSignals {
  void operator()(rte_ring* ring) const { rte_ring_free(ring); }
};

using SignalRing = std::unique_ptr<rte_ring, FreeSignals>;

constexpr unsigned kSourceSignals = 256;
constexpr uint32_t kLargestPacket = 32'768;

uint16_t largest_mtu(const GatewayProfile& profile) {
  uint16_t mtu = 0;
  for (const PortProfile& port : profile.ports) mtu = std::max(mtu, port.mtu);
  return mtu;
}

Result<SignalRing> make_signal_ring() {
  rte_ring* ring =
      ring_of_elements(unique_dpdk_name("signals").c_str(), sizeof(SourceSignal), kSourceSignals,
                       static_cast<int>(rte_socket_id()), RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring != nullptr) return SignalRing(ring);
  return Error{std::string("no ring of source signals: ") + rte_strerror(rte_errno)};
}

/// What a data packet's buffer must take: a frame of the largest MTU, or what an AF_PACKET ring
/// holds.
uint16_t largest_packet(const GatewayProfile& profile) {
  uint16_t bytes = largest_mtu(profile);
  for (const PortProfile& port : profile.ports) {
    if (port.vdev.starts_with("net_af_packet") && port.vdev.find("framesz=") != std::string::npos)
      bytes = static_cast<uint16_t>(
          std::clamp<uint32_t>(af_packet_room(port.vdev), bytes, kLargestPacket));
  }
  return bytes;
}

Result<void> check_counts(const GatewayProfile& profile) {
  const size_t workers = profile.cores.workers.size();
  if (workers == 0 || workers > kMaxWorkers)
    return Error{"cores.workers: expected 1 to " + std::to_string(kMaxWorkers) + " workers, got " +
                 std::to_string(workers)};
  if (profile.ports.empty() || profile.ports.size() > kMaxPorts)
    return Error{"ports: expected 1 to " + std::to_string(kMaxPorts) + " ports, got " +
                 std::to_string(profile.ports.size())};
  return {};
}

/// What a worker's lcore is launched with.
struct Launch {
  Worker* worker;
  const std::atomic<bool>* stop;
  WorkerCounters* counters;
};

int run_worker(void* argument) {
  const auto* launch = static_cast<const Launch*>(argument);
  launch->counters->thread.store(gettid(), std::memory_order_relaxed);
  launch->worker->run(*launch->stop);
  order_before(launch);
  return 0;
}

}  // namespace

Result<Tables> Tables::create(uint32_t readers, uint32_t peers, const RouteTable::Sizes& sizes) {
  Tables tables;
  auto rcu = make_rcu(readers);
  if (!rcu) return rcu.error();
  tables.rcu = *std::move(rcu);
  auto sessions = SessionTable::create(peers);
  if (!sessions) return sessions.error();
  tables.sessions = *std::move(sessions);
  auto routes = RouteTable::create(sizes, tables.rcu.get());
  if (!routes) return routes.error();
  tables.routes = *std::move(routes);
  return tables;
}

/// Members in the order of dependence: destroyed from the last to the first.
struct Dataplane::Parts {
  MacKey mac1{};
  Tables tables;
  SharedCookieSecrets cookies{nullptr};
  Pool data_pool;
  Pool control_pool;
  std::vector<Ring> owned_rings;
  std::vector<SignalRing> signal_rings;
  std::vector<WorkerRings> rings;
  std::vector<WorkerCounters> counters;
  std::vector<std::unique_ptr<PacketTrace>> traces;
  std::vector<Port> ports;
  std::vector<PortInfo> infos;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Launch> launches;  ///< read by the workers' lcores while they run
  std::atomic<bool> stop{false};
  bool running = false;
  std::string warning;

  ~Parts() { wipe(&mac1, sizeof mac1); }

  Result<void> make_pools(const GatewayProfile& profile);
  Result<void> make_rings(const LimitsProfile& limits, size_t workers);
  Result<void> open_ports(const GatewayProfile& profile);
  Result<void> make_workers(const GatewayProfile& profile);
  Result<rte_ring*> own_ring(const char* what, uint32_t packets);
};

Result<rte_ring*> Dataplane::Parts::own_ring(const char* what, uint32_t packets) {
  auto ring = make_ring(what, packets);
  if (!ring) return ring.error();
  owned_rings.push_back(*std::move(ring));
  return owned_rings.back().get();
}

Result<void> Dataplane::Parts::make_pools(const GatewayProfile& profile) {
  const uint16_t mtu = largest_mtu(profile);
  const auto count = static_cast<uint32_t>(profile.cores.workers.size());
  const uint32_t packets = profile.limits.mbufs + count * profile.limits.hold_packets;
  auto data = make_pool(unique_dpdk_name("data"), packets, largest_packet(profile));
  if (!data) return data.error();
  data_pool = Pool(*data);
  auto control = make_pool(unique_dpdk_name("control"), profile.limits.control_mbufs, mtu);
  if (!control) return control.error();
  control_pool = Pool(*control);
  return {};
}

Result<void> Dataplane::Parts::make_rings(const LimitsProfile& limits, size_t count) {
  static constexpr std::array<const char*, kPuntClasses> kNames{"verified", "handshake", "answer",
                                                                "control", "slow"};
  rings.resize(count);
  for (WorkerRings& own : rings) {
    for (size_t punt_class = 0; punt_class < kPuntClasses; ++punt_class) {
      auto ring = own_ring(kNames[punt_class], limits.control_ring);
      if (!ring) return ring.error();
      own.punt[punt_class] = *ring;
    }
    for (rte_ring** each : {&own.sources, &own.unknown}) {
      auto signals = make_signal_ring();
      if (!signals) return signals.error();
      *each = signals->get();
      signal_rings.push_back(*std::move(signals));
    }
    auto inject = own_ring("inject", limits.control_ring);
    if (!inject) return inject.error();
    own.inject = *inject;
    for (size_t from = 0; from < count; ++from) {
      if (&rings[from] == &own) continue;
      auto handoff = own_ring("handoff", limits.handoff_ring);
      if (!handoff) return handoff.error();
      own.handoff[from] = *handoff;
    }
  }
  return {};
}

Result<void> Dataplane::Parts::open_ports(const GatewayProfile& profile) {
  for (const PortProfile& wanted : profile.ports) {
    auto port =
        Port::open(wanted, {static_cast<uint16_t>(ports.size()),
                            static_cast<uint16_t>(profile.cores.workers.size()), data_pool.get()});
    if (!port) return port.error();
    infos.push_back(port->info());
    ports.push_back(*std::move(port));
  }
  return {};
}

Result<void> Dataplane::Parts::make_workers(const GatewayProfile& profile) {
  const size_t count = profile.cores.workers.size();
  counters = std::vector<WorkerCounters>(count);
  std::vector<WorkerConfig> configs(count);
  for (const PortInfo& port : infos) {
    for (uint16_t queue = 0; queue < port.rx_queues; ++queue)
      configs[worker_of_queue(port.number, queue, count)].queues.push_back({port.number, queue});
  }
  for (size_t number = 0; number < count; ++number) {
    WorkerConfig& config = configs[number];
    config.number = static_cast<uint16_t>(number);
    config.workers = static_cast<uint16_t>(count);
    config.sessions = tables.sessions.get();
    config.routes = tables.routes.get();
    config.rcu = tables.rcu.get();
    config.rings = rings;
    config.ports = infos;
    config.counters = &counters[number];
    config.mac1 = &mac1;
    config.cookies = &cookies;
    config.admitted_per_s = profile.limits.handshakes_per_s / static_cast<uint32_t>(count);
    config.listen_port = profile.listen_port;
    config.idle = profile.cores.idle;
    config.tuning = profile.cores.tuning;
    traces.push_back(std::make_unique<PacketTrace>());
    config.trace = traces.back().get();
    config.hold_packets = profile.limits.hold_packets;
    config.pool = data_pool.get();
    if (auto own = own_ipsec_mb())
      config.ipsec_mb = *std::move(own);
    else
      warning = own.error().message;
    auto worker = Worker::create(config);
    if (!worker) return worker.error();
    workers.push_back(*std::move(worker));
    launches.push_back({workers.back().get(), &stop, &counters[number]});
  }
  return {};
}

Dataplane::Dataplane(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Dataplane::~Dataplane() {
  stop();
}

Result<std::unique_ptr<Dataplane>> Dataplane::create(const GatewayProfile& profile,
                                                     const Options& options) {
  if (auto sound = check_counts(profile); !sound) return sound.error();
  const auto workers = static_cast<uint32_t>(profile.cores.workers.size());
  auto tables = Tables::create(workers, profile.limits.sessions, options.routes);
  if (!tables) return tables.error();
  return create(profile, options.mac1, *std::move(tables));
}

Result<std::unique_ptr<Dataplane>> Dataplane::create(const GatewayProfile& profile,
                                                     const MacKey& mac1, Tables tables) {
  if (auto sound = check_counts(profile); !sound) return sound.error();
  auto parts = std::make_unique<Parts>();
  parts->mac1 = mac1;
  parts->tables = std::move(tables);
  if (auto done = parts->make_pools(profile); !done) return done.error();
  const size_t workers = profile.cores.workers.size();
  if (auto done = parts->make_rings(profile.limits, workers); !done) return done.error();
  if (auto done = parts->open_ports(profile); !done) return done.error();
  if (auto done = parts->make_workers(profile); !done) return done.error();
  return std::unique_ptr<Dataplane>(new Dataplane(std::move(parts)));
}

const std::string& Dataplane::warning() const {
  return parts_->warning;
}

Result<void> Dataplane::start() {
  parts_->stop.store(false);
  parts_->running = true;
  for (size_t worker = 0; worker < workers(); ++worker) {
    const int error =
        rte_eal_remote_launch(run_worker, &parts_->launches[worker], lcore_of_worker(worker));
    if (error == 0) continue;
    stop();
    return Error{"worker " + std::to_string(worker) + " can't start on lcore " +
                 std::to_string(lcore_of_worker(worker)) + ": " + rte_strerror(-error)};
  }
  return {};
}

void Dataplane::stop() {
  if (!parts_->running) return;
  parts_->stop.store(true);
  for (size_t worker = 0; worker < workers(); ++worker) {
    rte_eal_wait_lcore(lcore_of_worker(worker));
    order_after(&parts_->launches[worker]);
  }
  parts_->running = false;
}

Worker& Dataplane::worker(size_t number) {
  return *parts_->workers[number];
}
size_t Dataplane::workers() const {
  return parts_->workers.size();
}
std::span<const PortInfo> Dataplane::ports() const {
  return parts_->infos;
}
bool Dataplane::link_up(uint16_t port) const {
  return parts_->ports[port].link_up();
}
SessionTable& Dataplane::sessions() {
  return *parts_->tables.sessions;
}
RouteTable& Dataplane::routes() {
  return *parts_->tables.routes;
}
rte_rcu_qsbr* Dataplane::rcu() {
  return parts_->tables.rcu.get();
}
SharedCookieSecrets& Dataplane::cookie_secrets() {
  return parts_->cookies;
}
const WorkerRings& Dataplane::rings(size_t worker) const {
  return parts_->rings[worker];
}
const WorkerCounters& Dataplane::counters(size_t worker) const {
  return parts_->counters[worker];
}
rte_mempool* Dataplane::control_pool() {
  return parts_->control_pool.get();
}
rte_mempool* Dataplane::data_pool() {
  return parts_->data_pool.get();
}

DataplaneView Dataplane::view() {
  DataplaneView lent{.ports = ports(),
                     .sessions = sessions(),
                     .routes = routes(),
                     .rcu = rcu(),
                     .cookie_secrets = cookie_secrets(),
                     .control_pool = control_pool(),
                     .data_pool = data_pool(),
                     .rings = {},
                     .counters = {},
                     .traces = {},
                     .link_up = [this](uint16_t port) { return link_up(port); }};
  for (size_t worker = 0; worker < workers(); ++worker) {
    lent.rings.push_back(&rings(worker));
    lent.counters.push_back(&counters(worker));
    lent.traces.push_back(parts_->traces[worker].get());
  }
  return lent;
}

}  // namespace jvpn
