// What `show` says of a cluster's gateways: where the session is, and what inquiries found of the
// others.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/profile.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// Each gateway by the best path to it, in the profile's order; empty when only one is known.
nlohmann::json show_gateways(const engine::SessionEngine& engine, const PeerProfile& profile,
                             const FallbackProfile& fallback,
                             const std::vector<underlays::Underlay>& underlays, Millis now);

}  // namespace jvpn::client::control
