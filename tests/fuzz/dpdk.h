// DPDK's environment for the targets that need it.
#pragma once

namespace jvpn::fuzz {

/// Starts it by the first call; it goes with the process.
void need_dpdk();

}  // namespace jvpn::fuzz
