// What control is lent of the data plane: tables to write, rings to serve, counters to read.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>

#include "common/exchange.h"
#include "common/packet_trace.h"
#include "common/port_info.h"
#include "common/route_table.h"
#include "common/session_table.h"

namespace jvpn {

/// Everything in it outlives the control loop. One element of `rings`, `counters` and
/// `traces` per worker.
struct DataplaneView {
  std::span<const PortInfo> ports;  ///< by port number
  SessionTable& sessions;
  RouteTable& routes;
  rte_rcu_qsbr* rcu;
  SharedCookieSecrets& cookie_secrets;
  rte_mempool* control_pool;
  rte_mempool* data_pool;  ///< what ports receive into
  std::vector<const WorkerRings*> rings;
  std::vector<const WorkerCounters*> counters;
  std::vector<PacketTrace*> traces;
  std::function<bool(uint16_t port)> link_up;
};

}  // namespace jvpn
