// What is wrong with a gateway now, by name: what `jvpn health` tells. A flag is raised as long as
// its cause lasts. Control thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/dataplane_view.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "control/events/event_log.h"
#include "control/gateway/exhaustion_watch.h"
#include "control/gateway/health_flags.h"
#include "control/gateway/silent_ports.h"
#include "control/gateway/stall_watch.h"

namespace jvpn::gateway {

/// What is looked at.
struct HealthSources {
  const DataplaneView& view;
  const StallWatch* stalls = nullptr;  ///< nullptr: nobody watches
  engine::Admission admission;
  std::optional<Millis> unproven_since;  ///< OwnershipWatch::silent_since
  std::string store_trouble;             ///< OwnershipStatus::trouble
  events::EventLogStatus events;
  std::string key_log{};  ///< where keys are written; empty: nowhere
  const ExhaustionWatch* exhaustion = nullptr;
  const SilentPorts* silent = nullptr;
};

/// Empty: all is well. kFailed where sessions are harmed.
HealthFlags look_at_health(const HealthSources& sources, Millis now);
/// An array of `{flag, severity, what}`; `severity` is `failed` or `degraded`.
nlohmann::json show_health(const HealthFlags& flags);

}  // namespace jvpn::gateway
