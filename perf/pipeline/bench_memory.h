// Starts DPDK for a measurement, on 2 MB pages where that is possible. Control thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "common/result.h"
#include "perf/harness/hugepages.h"

namespace jvpn::perf {

struct BenchMemory {
  std::optional<HugepageReservation> hugepages;  ///< put back with this
  std::string pages;                             ///< `2 MB` or `4 kB`
  std::string note;                              ///< why not 2 MB pages; empty: they are
};

/// Once in a process. `small_pages`: don't try 2 MB pages.
Result<BenchMemory> start_bench(size_t megabytes, uint16_t workers, bool small_pages);

}  // namespace jvpn::perf
