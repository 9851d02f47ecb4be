// The gateway's part of `show`: drops, ports, workers and control's own counters, as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <nlohmann/json_fwd.hpp>

#include "common/dataplane_view.h"
#include "common/exchange.h"
#include "control/gateway/exhaustion_watch.h"
#include "control/gateway/turn_watch.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/peer_proxy.h"
#include "control/neighbor/slow_path.h"
#include "control/publish/injector.h"
#include "control/session/ownership.h"

namespace jvpn::gateway {

/// Of one reason, by all workers.
uint64_t count_drops(const DataplaneView& view, Drop reason);
/// Drops by name, summed over the workers; only those that happened.
nlohmann::json show_drops(const DataplaneView& view);
/// What was wanted in vain so far, as far as workers, injector and neighbours know.
ExhaustionWatch::Totals exhausted(const DataplaneView& view,
                                  const publish::Injector::Counters& injector,
                                  const neighbor::Neighbors::Counters& neighbors);
/// One object per worker.
nlohmann::json show_workers(const DataplaneView& view);
/// One object per port, with what its driver counts.
nlohmann::json show_ports(const DataplaneView& view);

nlohmann::json show_neighbors(const neighbor::Neighbors& neighbors);
/// What is answered and announced on the inside links for peers.
nlohmann::json show_lan(const neighbor::PeerProxy& lan);
/// What keeps the sessions, and what it proves; `silent_since`: OwnershipWatch's.
nlohmann::json show_ownership(const session::Ownership* store, std::optional<Millis> silent_since,
                              Millis now);
/// Packets for peers whose sessions other gateways have taken.
nlohmann::json show_handed_over(const neighbor::HandedOver& handed_over);
nlohmann::json show_slow_path(const neighbor::SlowPath::Counters& counters);
nlohmann::json show_injector(const publish::Injector::Counters& counters);
/// The longest turns of the control loop, and what took longest in them.
nlohmann::json show_turns(const TurnWatch& turns);

}  // namespace jvpn::gateway
