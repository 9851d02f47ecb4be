// Puts a gateway together: EAL, data plane, control. The one place that knows both sides.
#pragma once

#include <atomic>

#include "common/result.h"
#include "control/admin/profile_file.h"
#include "control/events/event_log.h"
#include "tools/shared/sandbox/sandbox.h"

namespace jvpn {

/// Runs the gateway of a profile on the calling thread, the control core, until `stop` is true;
/// then ends its sessions and everything that it opened. Setting `reload` has the profile read
/// anew. Once it has started it gives up its privileges by `sandbox`. An Error says why it could
/// not start. Once per process: DPDK can't start twice.
Result<void> run_gateway(admin::LoadedGateway loaded, events::EventLog& events,
                         const std::atomic<bool>& stop, std::atomic<bool>& reload,
                         sandbox::Mode sandbox);

}  // namespace jvpn
