// The page that `jvpn-perf report` writes: everything in one file, nothing fetched, no script.
// Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/jvpn_perf/report_results.h"

namespace jvpn::perf {

/// `before`: the set that `results` are compared with.
std::string report_page(const std::vector<PerfResult>& results,
                        const std::optional<std::vector<PerfResult>>& before);

}  // namespace jvpn::perf
