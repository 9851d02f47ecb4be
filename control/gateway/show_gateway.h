// The gateway's part of `show`: drops, ports, workers and control's own counters, as JSON.
#pragma once

#include <cstdint>
#include <span>

#include <nlohmann/json_fwd.hpp>

#include "common/dataplane_view.h"
#include "common/exchange.h"
#include "control/gateway/turn_watch.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/slow_path.h"
#include "control/publish/injector.h"

namespace jvpn::gateway {

/// Of one reason, by all workers.
uint64_t count_drops(const DataplaneView& view, Drop reason);
/// Drops by name, summed over the workers; only those that happened.
nlohmann::json show_drops(const DataplaneView& view);
/// One object per worker.
nlohmann::json show_workers(const DataplaneView& view);
/// One object per port, with what its driver counts.
nlohmann::json show_ports(const DataplaneView& view);

nlohmann::json show_neighbors(const neighbor::Neighbors& neighbors);
nlohmann::json show_slow_path(const neighbor::SlowPath::Counters& counters);
nlohmann::json show_injector(const publish::Injector::Counters& counters);
/// The longest turns of the control loop, and what took longest in them.
nlohmann::json show_turns(const TurnWatch& turns);

}  // namespace jvpn::gateway
