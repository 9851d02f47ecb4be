// Which plots a set of results of one command deserves. Tolerant: what a result lacks isn't drawn.
// Pure, any thread.
#pragma once

#include <string>
#include <vector>

#include "perf/jvpn_perf/report_results.h"

namespace jvpn::perf {

/// SVG figures for results that all are of `command`; empty when there is nothing to draw.
std::string plots_of(const std::string& command, const std::vector<const PerfResult*>& results);

}  // namespace jvpn::perf
