// Shipping workers and publisher between two in-memory ports, with sessions of 1000s of peers: what
// a gateway is without NICs. Frames go in and come out by rings, one of each for a worker and port.
//
//   peers 172.16.0.0/12 ── wan (0) 192.0.2.1 │ workers │ lan (1) 10.0.0.1 ── host 10.0.0.2
//   behind peer n: one host, 10.1.0.0 + n
//
// Control thread, but for worker() and its rings, which belong to the worker's lcore.
#pragma once

#include <memory>
#include <span>

#include "common/result.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "tests/support/ring_gateway.h"

namespace jvpn::perf {

using test::kLan;
using test::kListenPort;
using test::kPeerMac;
using test::kPeerPort;
using test::kWan;

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
  std::span<const PortInfo> ports() const { return rings_.dataplane().ports(); }
  rte_rcu_qsbr* rcu() { return rings_.dataplane().rcu(); }
  uint32_t slot_bits() const { return rings_.dataplane().sessions().slot_bits(); }

  Worker& worker(size_t number = 0) { return rings_.worker(number); }
  rte_mempool* pool() { return pool_; }
  /// Frames that a port receives for a worker, and those that the worker sent on it.
  rte_ring* received(uint16_t port, size_t worker = 0) { return rings_.rx_ring(port, worker); }
  rte_ring* sent(uint16_t port, size_t worker = 0) { return rings_.tx_ring(port, worker); }
  const WorkerCounters& counters(size_t worker = 0) const {
    return rings_.dataplane().counters(worker);
  }
  /// Of all workers.
  uint64_t all_drops() const { return rings_.all_drops(); }
  /// What came onto DPDK's heap for the tables: they, routes and all that was published.
  size_t table_bytes() const { return empty_table_bytes_ + heap_in_use() - heap_before_routes_; }

 private:
  MemoryGateway(test::RingGateway rings, size_t empty_table_bytes);
  Result<void> add_routes(uint32_t peers);
  Result<void> make_publisher();

  test::RingGateway rings_;
  rte_mempool* pool_;
  size_t empty_table_bytes_;
  size_t heap_before_routes_;
  NextHop lan_host_;
  std::unique_ptr<publish::Reclaimer> reclaimer_;
  std::unique_ptr<publish::Publisher> publisher_;
};

}  // namespace jvpn::perf
