#include "common/reason.h"

#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace jvpn {
namespace {

struct Expected {
  std::string_view code;
  ReasonKind kind;
};

// The codes as they were specified, section by section, and those added since.
constexpr Expected kSpecification[] = {
    {"HANDSHAKE_OK", ReasonKind::kStateTransition},
    {"HANDSHAKE_FAIL", ReasonKind::kStateTransition},
    {"VOLATILITY_SIGNAL", ReasonKind::kStateTransition},
    {"QUALITY_FLOOR_VIOLATION", ReasonKind::kStateTransition},
    {"HEALTH_RECOVERED", ReasonKind::kStateTransition},
    {"RECOVERY_START", ReasonKind::kStateTransition},
    {"TRANSPORT_SWITCH_OK", ReasonKind::kStateTransition},
    {"TRANSPORT_SWITCH_DENIED", ReasonKind::kStateTransition},
    {"RECOVERY_RETRY", ReasonKind::kStateTransition},
    {"RECOVERY_BOUNDS_EXCEEDED", ReasonKind::kStateTransition},
    {"ENTER_DEGRADED_MODE", ReasonKind::kStateTransition},
    {"EXIT_DEGRADED_MODE", ReasonKind::kStateTransition},
    {"TTL_SESSION_EXPIRED", ReasonKind::kStateTransition},
    {"TTL_TRANSPORT_LOSS_EXPIRED", ReasonKind::kStateTransition},
    {"POLICY_TERMINATION", ReasonKind::kStateTransition},
    {"FATAL_PROTOCOL_ERROR", ReasonKind::kStateTransition},
    {"KEY_LIFETIME_EXCEEDED", ReasonKind::kStateTransition},
    {"REATTACH_ACCEPT", ReasonKind::kReattachOutcome},
    {"AUTH_FAIL", ReasonKind::kReattachOutcome},
    {"FRESHNESS_INVALID", ReasonKind::kReattachOutcome},
    {"REPLAY_DETECTED", ReasonKind::kReattachOutcome},
    {"OWNERSHIP_CONFLICT", ReasonKind::kReattachOutcome},
    {"SESSION_NOT_FOUND", ReasonKind::kReattachOutcome},
    {"SESSION_EXPIRED", ReasonKind::kReattachOutcome},
    {"POLICY_DENY", ReasonKind::kReattachOutcome},
    {"RATE_LIMITED", ReasonKind::kReattachOutcome},
    {"REATTACH_TIMEOUT", ReasonKind::kReattachOutcome},
    {"SEC_REPLAY_ATTEMPT", ReasonKind::kSecurity},
    {"SEC_SESSION_FIXATION_ATTEMPT", ReasonKind::kSecurity},
    {"SEC_OWNERSHIP_ANOMALY", ReasonKind::kSecurity},
    {"SEC_ABUSE_CONTROL_PLANE", ReasonKind::kSecurity},
    {"AUDIT_INVARIANT_OK_SINGLE_ACTIVE", ReasonKind::kAudit},
    {"AUDIT_INVARIANT_OK_NO_RESET", ReasonKind::kAudit},
    {"AUDIT_POLICY_LIMIT_TRIGGERED", ReasonKind::kAudit},
    {"AUDIT_RECOVERY_TIMELINE", ReasonKind::kAudit},
    {"AUDIT_TRANSITION_REFUSED", ReasonKind::kAudit},
    {"EVENTS_LOST", ReasonKind::kAudit},
    {"AUDIT_INVARIANT_VIOLATED", ReasonKind::kAudit},
    {"SESSION_PARKED", ReasonKind::kAudit},
    {"SESSION_RESUMED", ReasonKind::kAudit},
    {"OWNERSHIP_PROVEN", ReasonKind::kAudit},
    {"CONFIG_LOADED", ReasonKind::kConfig},
    {"CONFIG_REFUSED", ReasonKind::kConfig},
    {"DRAIN_BEGUN", ReasonKind::kConfig},
    {"DRAIN_DONE", ReasonKind::kConfig},
    {"DRAIN_ENDED", ReasonKind::kConfig},
    {"KEYS_RENEWED", ReasonKind::kKeys},
    {"KEYS_LOST", ReasonKind::kKeys},
    {"HEALTH_RAISED", ReasonKind::kHealth},
    {"HEALTH_CLEARED", ReasonKind::kHealth},
};

TEST(Reason, EveryCodeOfTheSpecificationRoundTrips) {
  for (const Expected& expected : kSpecification) {
    const auto reason = parse_reason(expected.code);
    ASSERT_TRUE(reason) << expected.code;
    EXPECT_EQ(to_string(*reason), expected.code);
    EXPECT_EQ(kind_of(*reason), expected.kind) << expected.code;
    EXPECT_EQ(reason_from_number(static_cast<uint16_t>(*reason)), reason) << expected.code;
  }
  EXPECT_EQ(all_reasons().size(), std::size(kSpecification));
}

TEST(Reason, EveryReasonHasItsOwnCodeAndMeaning) {
  std::set<std::string> codes;
  std::set<std::string> meanings;
  for (const ReasonText& text : all_reasons()) {
    codes.insert(to_string(text.reason));
    meanings.insert(meaning(text.reason));
    EXPECT_EQ(std::string(text.meaning).find('\n'), std::string::npos);
  }
  EXPECT_EQ(codes.size(), all_reasons().size());
  EXPECT_EQ(meanings.size(), all_reasons().size());
}

// They travel between versions of the program: a change here breaks the wire.
TEST(Reason, NumbersAreStable) {
  EXPECT_EQ(static_cast<int>(Reason::kHandshakeOk), 1);
  EXPECT_EQ(static_cast<int>(Reason::kPolicyTermination), 15);
  EXPECT_EQ(static_cast<int>(Reason::kKeyLifetimeExceeded), 17);
  EXPECT_EQ(static_cast<int>(Reason::kReattachAccept), 64);
  EXPECT_EQ(static_cast<int>(Reason::kRateLimited), 72);
  EXPECT_EQ(static_cast<int>(Reason::kSecAbuseControlPlane), 131);
  EXPECT_EQ(static_cast<int>(Reason::kAuditRecoveryTimeline), 195);
  EXPECT_EQ(static_cast<int>(Reason::kConfigLoaded), 256);
}

TEST(Reason, RefusesOtherTextsAndNumbers) {
  for (const char* text : {"", "NONE", "UNKNOWN", "handshake_ok", "HANDSHAKE_OK ", "HANDSHAKE"}) {
    EXPECT_FALSE(parse_reason(text)) << text;
  }
  for (const int number : {0, 18, 63, 74, 132, 255, 65535}) {
    EXPECT_FALSE(reason_from_number(static_cast<uint16_t>(number))) << number;
  }
  EXPECT_STREQ(to_string(Reason::kNone), "NONE");
  EXPECT_STREQ(to_string(static_cast<Reason>(999)), "UNKNOWN");
}

TEST(Detail, EveryDetailHasItsOwnText) {
  std::set<std::string> texts;
  for (const DetailText& text : all_details()) texts.insert(to_string(text.detail));
  EXPECT_EQ(texts.size(), all_details().size());
  EXPECT_STREQ(to_string(Detail::kSuperseded), "superseded");
  EXPECT_STREQ(to_string(Detail::kDualActive), "dual_active");
  EXPECT_STREQ(to_string(Detail::kNone), "");
}

}  // namespace
}  // namespace jvpn
