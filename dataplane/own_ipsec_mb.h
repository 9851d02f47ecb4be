// A copy of IPsec-MB for one thread.
#pragma once

#include "common/ipsec_mb.h"
#include "common/result.h"

namespace jvpn {

/// Loads the library that the program is linked with once more, from a file of its own in memory,
/// so that code and variables are the caller's alone (13 MB with IPsec-MB 1.3). Fails where memory
/// can't be executed (vm.memfd_noexec), or is short; the message says so. Any thread.
Result<IpsecMb> own_ipsec_mb();

}  // namespace jvpn
