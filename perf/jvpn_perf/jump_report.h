// The results of `jvpn-perf jump` for people and for programs. Pure, any thread.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "perf/jvpn_perf/environment.h"
#include "perf/jvpn_perf/jump_options.h"
#include "perf/jvpn_perf/jump_run.h"

namespace jvpn::perf {

/// `p99` over the bound in ms; 0 within it.
double over_bound(double p99_ms, const JumpBound& bound);

std::string jump_table(const JumpOptions& options, const JumpResults& results,
                       const Environment& environment);
nlohmann::ordered_json jump_json(const JumpOptions& options, const JumpResults& results,
                                 const Environment& environment);

}  // namespace jvpn::perf
