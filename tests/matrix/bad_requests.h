// Authentic requests that a check refuses, whatever the session does: for every test that asks what
// a refusal may and may not do.
#pragma once

#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

struct BadRequest {
  const char* name;
  void (*spoil)(wire::ReattachRequest&);
  Reason reason;
  Detail detail;
  const char* check;
  Reason security;  ///< kNone: no security event is due
};

inline constexpr BadRequest kBadRequests[] = {
    {"another session", [](wire::ReattachRequest& r) { r.session_id[3] ^= 1; },
     Reason::kSessionNotFound, Detail::kNone, "exists", Reason::kSecSessionFixationAttempt},
    {"clock behind", [](wire::ReattachRequest& r) { r.clock_ms -= 5'010; },
     Reason::kFreshnessInvalid, Detail::kStaleTime, "freshness", Reason::kNone},
    {"clock ahead", [](wire::ReattachRequest& r) { r.clock_ms += 5'010; },
     Reason::kFreshnessInvalid, Detail::kStaleTime, "freshness", Reason::kNone},
    {"nonce reused", [](wire::ReattachRequest& r) { r.nonce = 0; }, Reason::kReplayDetected,
     Detail::kNone, "nonce", Reason::kSecReplayAttempt},
    {"stale version", [](wire::ReattachRequest& r) { --r.binding_version; },
     Reason::kFreshnessInvalid, Detail::kStaleVersion, "binding_version", Reason::kNone},
    {"future version", [](wire::ReattachRequest& r) { ++r.binding_version; },
     Reason::kFreshnessInvalid, Detail::kFutureVersion, "binding_version", Reason::kNone},
    {"dual active", [](wire::ReattachRequest& r) { r.retire_active = 0; }, Reason::kPolicyDeny,
     Detail::kDualActive, "dual_active", Reason::kNone},
    {"other lanes", [](wire::ReattachRequest& r) { r.lanes = 9; }, Reason::kPolicyDeny,
     Detail::kCandidateRefused, "candidate", Reason::kNone},
};

}  // namespace jvpn::test
