// The data plane as one object: tables, pools, ports, rings and workers, in the order in which they
// depend on each other. The wiring of jvpnd creates it after the EAL and hands its parts to
// control.
//
// All member functions are for the control thread (the main lcore).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>

#include "common/dataplane_view.h"
#include "common/exchange.h"
#include "common/handshake_mac.h"
#include "common/port_info.h"
#include "common/profile.h"
#include "common/result.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "dataplane/handles.h"

namespace jvpn {

class Worker;

/// What workers look packets up in. The memory that grows with the number of peers.
struct Tables {
  Rcu rcu;
  std::unique_ptr<SessionTable> sessions;
  std::unique_ptr<RouteTable> routes;  ///< frees through `rcu`

  /// `readers`: workers. The session table holds `peers`.
  static Result<Tables> create(uint32_t readers, uint32_t peers, const RouteTable::Sizes& sizes);
};

/// The worker that polls a receive queue. Single queues of several ports spread over the workers.
constexpr size_t worker_of_queue(size_t port, size_t queue, size_t workers) {
  return (port + queue) % workers;
}

class Dataplane {
 public:
  struct Options {
    MacKey mac1;  ///< of our own static public key: ResponderMacKeys::mac1
    RouteTable::Sizes routes;
  };

  /// Creates the tables, opens and starts every port of the profile, prepares the workers; nothing
  /// is polled before start(). The session table holds profile.limits.sessions peers.
  /// Errors name the port or limit, what was expected and how to mend it.
  static Result<std::unique_ptr<Dataplane>> create(const GatewayProfile& profile,
                                                   const Options& options);
  /// The same between tables that were made before, with a reader for each worker.
  static Result<std::unique_ptr<Dataplane>> create(const GatewayProfile& profile,
                                                   const MacKey& mac1, Tables tables);
  /// Stops the workers if they run, then closes ports and frees everything. Records that are still
  /// in the session table belong to control, which unpublishes and frees them first.
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  /// Launches each worker on its lcore (lcore_of_worker()).
  Result<void> start();
  /// Ends the workers' loops and waits for them: some hundred microseconds. No effect when stopped.
  void stop();
  /// Instead of start(), for a harness that decides which worker runs when.
  Worker& worker(size_t number);

  size_t workers() const;
  /// What makes the workers slower than they could be, for the operator; empty: nothing.
  const std::string& warning() const;
  /// In profile order: `ports()[n].number == n`.
  std::span<const PortInfo> ports() const;
  /// The link as the driver sees it now. Doesn't wait for negotiation.
  bool link_up(uint16_t port) const;

  SessionTable& sessions();
  RouteTable& routes();
  /// Workers are its readers. Control retires memory with it and is no reader itself. A worker that
  /// is stopped or asleep is offline and holds up no grace period.
  rte_rcu_qsbr* rcu();
  /// Null until control stores the first; then replaced whole, the old freed after a grace period.
  SharedCookieSecrets& cookie_secrets();

  /// Control consumes `punt` and produces `inject`.
  const WorkerRings& rings(size_t worker) const;
  const WorkerCounters& counters(size_t worker) const;

  /// Where control takes the mbufs that it sends, each with a PacketNote; apart from the data's.
  rte_mempool* control_pool();
  /// What control is lent of all this, and of every worker; valid as long as the data plane.
  DataplaneView view();
  /// What ports receive into.
  rte_mempool* data_pool();

 private:
  struct Parts;
  explicit Dataplane(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace jvpn
