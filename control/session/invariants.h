// What must hold whatever happens: a session has one active binding, and stays the session that was
// confirmed. Compares what the data path has with the record. Pure.
#pragma once

#include "common/reason.h"
#include "control/session/environment.h"
#include "control/session/peer_state.h"

namespace jvpn::session {

/// What each audit found; kNone: the invariant holds.
struct InvariantFindings {
  Detail single_active = Detail::kNone;
  Detail no_reset = Detail::kNone;
};

/// Of a peer's session that should have an active binding. kSecondBinding: packets are taken under
/// an index that neither the session, a pending one nor a draining binding has. kStaleRecord: what
/// is sent by, or received under, isn't what the record says. `lanes`: that this end sends on.
InvariantFindings audit_invariants(const PeerState& peer, uint16_t lanes,
                                   const Published& published);

}  // namespace jvpn::session
