// The in-memory gateway: the data plane that jvpnd makes of a profile, on ports made of rings, one
// of each direction for a worker. Nothing runs by itself: whoever owns it polls the workers.
//
//   rx_ring(port, worker) → worker → tx_ring(port, worker)
//                            │ ▲
//                     punt   ▼ │ inject
//                     rings(worker)
//
// Free of GoogleTest, because benchmarks use it too: what can't go wrong in a sound test aborts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "common/exchange.h"
#include "common/profile.h"
#include "common/result.h"
#include "dataplane/dataplane.h"
#include "dataplane/handles.h"
#include "dataplane/worker.h"
#include "tests/support/packet_builder.h"

namespace jvpn::test {

/// A packet that a worker handed to control.
struct Punted {
  PacketNote note;
  Bytes bytes;
};

/// Takes all packets of a ring, with their notes; the buffers go back to their pools.
std::vector<Punted> take_all(rte_ring* ring);

/// A packet of a pool with these bytes. Its note is what the last owner left.
rte_mbuf* make_packet(rte_mempool* pool, const Bytes& bytes);

/// A port as a profile describes it, still without a device.
PortProfile port_of(const char* name, PortRole role, std::vector<Prefix> addresses);

/// Two ports, kWan with 192.0.2.1/24 and kLan with 10.0.0.1/24.
GatewayProfile wan_and_lan(size_t workers);
inline constexpr uint16_t kWan = 0;
inline constexpr uint16_t kLan = 1;

/// The rings of a port, by the worker that polls or fills them.
struct PortRings {
  std::vector<Ring> rx;
  std::vector<Ring> tx;
  std::vector<rte_ring*> rx_queues{};  ///< the same by queue
  std::vector<rte_ring*> tx_queues{};
};

/// Gives port `number` of a gateway a device of rings that hold `frames` each, and a unique name.
Result<PortRings> make_ring_port(PortProfile& port, size_t number, size_t workers, uint32_t frames);

class RingGateway {
 public:
  /// `profile.ports` become ports of rings. `profile.cores.workers` says how many workers there
  /// are.
  static Result<RingGateway> create(GatewayProfile profile, const MacKey& mac1, Tables tables,
                                    uint32_t port_ring = 1'024);
  RingGateway(RingGateway&&) = default;
  RingGateway& operator=(RingGateway&&) = delete;
  ~RingGateway();

  const GatewayProfile& profile() const { return profile_; }
  Dataplane& dataplane() const { return *dataplane_; }
  size_t workers() const { return dataplane_->workers(); }
  Worker& worker(size_t number) const { return dataplane_->worker(number); }
  rte_mempool* pool() const { return dataplane_->data_pool(); }
  /// What a port receives for a worker, and what that worker sent on it.
  rte_ring* rx_ring(uint16_t port, size_t worker) const { return rings_[port].rx[worker].get(); }
  rte_ring* tx_ring(uint16_t port, size_t worker) const { return rings_[port].tx[worker].get(); }

  /// A frame comes in on a port, on the queue of a worker.
  void receive(uint16_t port, const Bytes& frame, size_t worker = 0);
  /// Polls every worker once, on this thread. Returns the packets they saw.
  size_t poll();
  /// Takes what was transmitted on a port since the last call, by worker and order.
  std::vector<Bytes> sent(uint16_t port);

  uint64_t drops(Drop reason) const;
  uint64_t all_drops() const;
  /// `name=count …` of those that are not zero, for failure messages.
  std::string drop_text() const;
  uint64_t total(std::atomic<uint64_t> WorkerCounters::*counter) const;
  /// By all workers' ports.
  uint64_t received() const;
  /// Packets that are in no pool. Empties the rings of ports, and those to and from control, first.
  size_t packets_out();

 private:
  RingGateway() = default;

  GatewayProfile profile_;
  std::vector<PortRings> rings_;  ///< empty before the packets' pool goes
  std::unique_ptr<Dataplane> dataplane_;
};

}  // namespace jvpn::test
