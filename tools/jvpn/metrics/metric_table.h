// The table of all metrics: what is exported, and what docs/METRICS.md says of it.
#pragma once

#include <string>
#include <vector>

#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {

/// Every metric, in the order of the document.
std::vector<Metric> all_metrics();

/// The metrics that have samples.
std::vector<prometheus::MetricFamily> collect(const Facts& facts);

/// The table of docs/METRICS.md.
std::string metric_table_markdown();

}  // namespace jvpn::metrics
