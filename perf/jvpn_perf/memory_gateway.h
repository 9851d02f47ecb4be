// Shipping workers and publisher between two in-memory ports, with sessions of 1000s of peers: what
// a gateway is without NICs. Frames go in and come out by rings, one of each for a worker and port.
//
//   peers 172.16.0.0/12 ── wan (0) 192.0.2.1 │ workers │ lan (1) 10.0.0.1 ── host 10.0.0.2
//   behind peer n: one host, 10.1.0.0 + n
//
// Control thread, but for worker() and its rings, which belong to the worker's lcore.
#pragma once

#include <memory>
#include <vector>

#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "common/exchange.h"
#include "common/handshake_mac.h"
#include "common/result.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

namespace jvpn::perf {

inline constexpr uint16_t kWan = 0;
inline constexpr uint16_t kLan = 1;
inline constexpr uint16_t kListenPort = 51'900;

struct EalOptions {
  uint16_t workers = 1;
  size_t megabytes = 1'024;  ///< of memory, taken at once
  bool hugepages = false;    ///< the kernel has as many of 2 MB
};

/// Starts DPDK's environment without devices or files: the calling thread becomes lcore 0 on CPU 0,
/// lcore_of_worker() runs on the CPUs from 1 on, round and round.
Result<void> start_eal(const EalOptions& options);

/// Bytes that are allocated on DPDK's heap.
size_t heap_in_use();

/// Inner address of the host behind a peer, of the host on the LAN, outer addresses.
IpAddress inner_host_of(uint32_t peer);
IpAddress lan_host();
Endpoint outer_of(uint32_t peer, uint16_t port);
Endpoint gateway_outer();

class MemoryGateway {
 public:
  struct Options {
    uint32_t peers = 1;  ///< numbered from 0; their inner hosts are routed
    uint16_t workers = 1;
    uint32_t port_ring = 1'024;  ///< frames that a ring holds
    uint32_t packets = 16'383;   ///< mbufs
    WorkerTuning tuning{};
  };
  /// Without a session yet. There may be several at once.
  static Result<std::unique_ptr<MemoryGateway>> create(const Options& options);
  MemoryGateway(const MemoryGateway&) = delete;
  MemoryGateway& operator=(const MemoryGateway&) = delete;

  publish::Publisher& publisher() { return *publisher_; }
  publish::Reclaimer& reclaimer() { return *reclaimer_; }
  std::span<const PortInfo> ports() const { return infos_; }
  rte_rcu_qsbr* rcu() { return rcu_.get(); }
  uint32_t slot_bits() const { return sessions_->slot_bits(); }

  Worker& worker(size_t number = 0) { return *workers_[number]; }
  rte_mempool* pool() { return pool_.get(); }
  /// Frames that a port receives for a worker, and those that the worker sent on it.
  rte_ring* received(uint16_t port, size_t worker = 0) {
    return port_rings_[port].rx[worker].get();
  }
  rte_ring* sent(uint16_t port, size_t worker = 0) { return port_rings_[port].tx[worker].get(); }
  const WorkerCounters& counters(size_t worker = 0) const { return counters_[worker]; }
  /// Of all workers.
  uint64_t all_drops() const;
  /// What came onto DPDK's heap since the tables: they, routes and all that was published.
  size_t table_bytes() const { return heap_in_use() - heap_before_tables_; }

 private:
  struct FreeRing {
    void operator()(rte_ring* ring) const { rte_ring_free(ring); }
  };
  struct FreePool {
    void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
  };
  struct FreeRcu {
    void operator()(rte_rcu_qsbr* rcu) const { rte_free(rcu); }
  };
  using Ring = std::unique_ptr<rte_ring, FreeRing>;
  struct PortRings {
    std::vector<Ring> rx;
    std::vector<Ring> tx;
  };

  explicit MemoryGateway(const Options& options);
  Result<void> set_up();
  Result<void> make_port(uint16_t number);
  Result<void> add_routes();
  Result<void> make_worker_rings();
  Result<void> make_worker(uint16_t number);
  Result<Ring> make_ring(uint32_t packets);

  Options options_;
  unsigned number_;  ///< of this gateway in the process
  unsigned rings_made_ = 0;
  size_t heap_before_tables_ = 0;
  std::unique_ptr<rte_mempool, FreePool> pool_;
  std::unique_ptr<rte_rcu_qsbr, FreeRcu> rcu_;
  std::unique_ptr<SessionTable> sessions_;
  std::unique_ptr<RouteTable> routes_;
  std::vector<PortRings> port_rings_;
  std::vector<Port> ports_;
  std::vector<PortInfo> infos_;
  std::vector<Ring> own_rings_;
  std::vector<WorkerRings> rings_;
  std::vector<WorkerCounters> counters_;
  MacKey mac1_{};
  SharedCookieSecrets cookies_{nullptr};
  NextHop lan_host_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<publish::Reclaimer> reclaimer_;
  std::unique_ptr<publish::Publisher> publisher_;
};

}  // namespace jvpn::perf
