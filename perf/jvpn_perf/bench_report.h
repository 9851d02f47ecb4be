// Figures of a cell as JSON and as lines of a table. Pure, any thread.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "perf/jvpn_perf/samples.h"

namespace jvpn::perf {

/// `key`, `key_min` and `key_max`: the median is what `jq .key` gives.
void put_spread(nlohmann::ordered_json& json, const std::string& key, const Spread& spread);

/// cycles_per_packet, raw_cycles_per_packet, overhead_cycles, ratio, mpps, gbps, drops, tsc_hz,
/// packets, stages; scaling, if there is one.
nlohmann::ordered_json cell_json(const CellFigures& figures, uint64_t drops, double tsc_hz,
                                 const std::optional<Scaling>& scaling = {});

/// One direction: its object with `common`'s keys behind. More: an object of each, then those keys.
nlohmann::ordered_json join_directions(
    std::vector<std::pair<std::string, nlohmann::ordered_json>> directions,
    const nlohmann::ordered_json& common);

/// Headings and one line for each direction, then the stages.
std::string cell_table(const std::vector<std::pair<std::string, CellFigures>>& directions);

}  // namespace jvpn::perf
