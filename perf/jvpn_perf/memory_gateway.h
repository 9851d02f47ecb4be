// The shipping worker and publisher between two in-memory ports, with sessions of 1000s of peers:
// what a gateway is without NICs. Frames go in and come out by rings.
//
//   peers 172.16.0.0/12 ── wan (0) 192.0.2.1 │ worker │ lan (1) 10.0.0.1 ── host 10.0.0.2
//   behind peer n: one host, 10.1.0.0 + n
//
// Control thread, but for worker() and the rings, which belong to the worker's lcore.
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
#include "control/publisher.h"
#include "control/reclaimer.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

namespace jvpn::perf {

inline constexpr uint16_t kWan = 0;
inline constexpr uint16_t kLan = 1;
inline constexpr uint16_t kListenPort = 51'900;

/// Starts DPDK's environment without hugepages, devices or files: the calling thread becomes lcore
/// 0 on CPU 0, lcore 1 runs on CPU 1.
Result<void> start_eal();

/// Inner address of the host behind a peer, of the host on the LAN, outer addresses.
IpAddress inner_host_of(uint32_t peer);
IpAddress lan_host();
Endpoint outer_of(uint32_t peer, uint16_t port);
Endpoint gateway_outer();

class MemoryGateway {
 public:
  /// For peers 0 to `peers` - 1, whose inner hosts are routed; no session yet.
  static Result<std::unique_ptr<MemoryGateway>> create(uint32_t peers);
  MemoryGateway(const MemoryGateway&) = delete;
  MemoryGateway& operator=(const MemoryGateway&) = delete;

  Publisher& publisher() { return *publisher_; }
  Reclaimer& reclaimer() { return *reclaimer_; }
  uint32_t slot_bits() const { return sessions_->slot_bits(); }

  Worker& worker() { return *worker_; }
  rte_mempool* pool() { return pool_.get(); }
  rte_ring* received(uint16_t port) { return ports_rings_[port].rx.get(); }  ///< by the port
  rte_ring* sent(uint16_t port) { return ports_rings_[port].tx.get(); }
  const WorkerCounters& counters() const { return counters_; }
  uint64_t all_drops() const;

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
    Ring rx;
    Ring tx;
  };

  MemoryGateway() = default;
  Result<void> set_up(uint32_t peers);
  Result<void> make_port(uint16_t number);
  Result<void> add_routes(uint32_t peers);
  Result<void> make_worker();
  Result<Ring> make_ring(uint32_t packets);

  unsigned rings_made_ = 0;
  std::unique_ptr<rte_mempool, FreePool> pool_;
  std::unique_ptr<rte_rcu_qsbr, FreeRcu> rcu_;
  std::unique_ptr<SessionTable> sessions_;
  std::unique_ptr<RouteTable> routes_;
  std::vector<PortRings> ports_rings_;
  std::vector<Port> ports_;
  std::vector<PortInfo> infos_;
  std::vector<Ring> own_rings_;
  std::vector<WorkerRings> rings_;
  WorkerCounters counters_;
  MacKey mac1_{};
  SharedCookieSecrets cookies_{nullptr};
  NextHop lan_host_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Reclaimer> reclaimer_;
  std::unique_ptr<Publisher> publisher_;
};

}  // namespace jvpn::perf
