// The gateway's part of `show`: drops, ports, workers and control's own counters, as JSON.
#pragma once

#include <cstdint>
#include <span>

#include <nlohmann/json_fwd.hpp>

#include "common/exchange.h"
#include "control/dataplane_view.h"
#include "control/injector.h"
#include "control/neighbors.h"
#include "control/slow_path.h"

namespace jvpn {

/// Drops by name, summed over the workers; only those that happened.
nlohmann::json show_drops(const DataplaneView& view);
/// One object per worker.
nlohmann::json show_workers(const DataplaneView& view);
/// One object per port, with what its driver counts.
nlohmann::json show_ports(const DataplaneView& view);

nlohmann::json show_neighbors(const Neighbors& neighbors);
nlohmann::json show_slow_path(const SlowPath::Counters& counters);
nlohmann::json show_injector(const Injector::Counters& counters);

}  // namespace jvpn
