// The responder's policy as an initiator is told it.
#pragma once

#include "common/policy.h"
#include "common/wire.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

/// What a response tells of `policy`; spans beyond 32 bits of milliseconds are cut there.
wire::PolicySnapshot snapshot_of(const Policy& policy);

/// `own` with each bound replaced by the responder's where that one is tighter. A zero means "not
/// told"; heartbeats never come closer together than the profile allows. How long a session may
/// sleep is left as it is: the responder says so whenever it is asked, and by its policy of then.
Policy tightened(const Policy& own, const wire::PolicySnapshot& told);

}  // namespace jvpn::protocol
