// `jvpn doctor`: what of this machine a gateway or client lacks, and what mends it.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "tools/jvpn/doctor/finding.h"
#include "tools/jvpn/doctor/host.h"
#include "tools/jvpn/doctor/needs.h"

namespace jvpn::doctor {

/// All findings. Without a profile nothing is missing: what isn't there could be better.
Report examine(const Host& host, const Needs& needs);

/// A table with a line for each finding, its mends below it, and the sums.
std::string render(const Report& report, const Needs& needs, bool with_colours);
/// `{"profile", "findings": [{"check", "of", "verdict", "what", "mend": [command]}], "good",
/// "could_be_better", "missing"}`.
nlohmann::json to_json(const Report& report, const Needs& needs);

/// What `profile` needs; when it is empty, the gateway's usual one, if there is any.
Result<Needs> needs_of(const std::string& profile, const Host& host);

/// Exit status 0: nothing is missing; 6: something is; 2: a bad profile.
int run_doctor(const std::string& profile, bool as_json);

}  // namespace jvpn::doctor
