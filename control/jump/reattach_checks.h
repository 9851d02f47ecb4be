// Judging a reattach request (docs/DESIGN.md, reattach): the checks in their order, and the token
// that proves an address. Pure: no record changes here, nothing is sent.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "common/ip.h"
#include "common/message_mac.h"
#include "common/policy.h"
#include "common/reason.h"
#include "common/replay_window.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/reporter.h"
#include "control/session/state_machine.h"
#include "control/session/vocabulary.h"

namespace jvpn::jump {

/// Freshness: the requester's idea of our clock is at most reattach_proof_max_age_ms off; and a
/// nonce that wasn't seen in this session.
Finding judge_freshness(const wire::ReattachRequest& request, ReplayVerdict nonce,
                        const Policy& policy, Millis now);
/// binding_version: exactly the current one.
Finding judge_version(BindingVersion named, const SessionRecord& record);
/// What a request asks the policy for.
struct SwitchAsked {
  bool retires = false;  ///< it gives the old binding up
  bool rebind = false;   ///< its path is the bound one, from another source
};
/// Dual activity, cooldown, the budget of its kind.
Finding judge_policy(SwitchAsked asked, const SessionRecord& record, const Policy& policy,
                     Millis now);

/// What a token vouches for.
struct TokenClaim {
  SessionId session;
  Endpoint address;  ///< observed
  uint64_t nonce = 0;
  BindingVersion version;
  ReceiverIndex index;  ///< responder's, of the spare binding
  uint64_t epoch = 0;   ///< of a probe: it is good in this one and the next
};
Mac token_of(MessageMac& mac, const MacKey& secret, const TokenClaim& claim);

}  // namespace jvpn::jump
