// What becomes of a policy that was read again. Free of DPDK: gateways and clients reload alike.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/policy.h"
#include "common/result.h"
#include "common/types.h"
#include "control/engine/engine.h"

namespace jvpn::admin {

/// A valid policy holds for all sessions from now on. An Error leaves the present one in force, and
/// no session begins until the next valid reload. Returns the answer for the operator.
nlohmann::json apply_reload(engine::SessionEngine& engine, const Result<Policy>& policy,
                            Millis now);

}  // namespace jvpn::admin
