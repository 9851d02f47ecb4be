// Every row of the failure matrix (its sections 1 to 7) and every rule of failure isolation
// (sections 2 to 5), once. A row's test is named after it: section `control`, row `stale_version`
// is TEST(Control, stale_version).
#pragma once

#include <cstddef>
#include <string_view>

namespace jvpn::test {

struct Section {
  std::string_view id;
  std::string_view suite;
  size_t rows;  ///< as counted in the specification
};

inline constexpr Section kSections[] = {
    {"transport", "Transport", 7},
    {"control", "Control", 6},
    {"ownership", "Ownership", 5},
    {"policy", "PolicyBounds", 4},
    {"resource", "Resource", 4},
    {"security", "Security", 4},
    {"never", "Never", 6},
    {"isolation.2", "Isolation2", 7},
    {"isolation.3", "Isolation3", 6},
    {"isolation.4", "Isolation4", 4},
    {"isolation.5", "Isolation5", 3},
};

struct Row {
  std::string_view section;
  std::string_view name;
};

inline constexpr Row kRows[] = {
    // Matrix 1: transport.
    {"transport", "loss_below_threshold"},
    {"transport", "loss_above_threshold"},
    {"transport", "instability_starts_recovery"},
    {"transport", "reattach_succeeds"},
    {"transport", "reattach_fails"},
    {"transport", "no_viable_transport"},
    {"transport", "death_keeps_identity"},
    // Matrix 2: control plane.
    {"control", "stale_version"},
    {"control", "nonce_reused"},
    {"control", "invalid_proof"},
    {"control", "unknown_session"},
    {"control", "ttl_expired"},
    {"control", "rejection_mutates_nothing"},
    // Matrix 3: ownership and consistency.
    {"ownership", "dual_active"},
    {"ownership", "uncertain"},
    {"ownership", "cas_failure"},
    {"ownership", "concurrent_race"},
    {"ownership", "no_dual_identity"},
    // Matrix 4: bounds of the policy.
    {"policy", "switch_rate"},
    {"policy", "recovery_window"},
    {"policy", "transport_loss_ttl"},
    {"policy", "session_ttl"},
    // Matrix 5: resources and abuse.
    {"resource", "reattach_flood"},
    {"resource", "excessive_volatility"},
    {"resource", "replay_flood"},
    {"resource", "log_export_failure"},
    // Matrix 6: security.
    {"security", "identity_hijack"},
    {"security", "transport_spoofing"},
    {"security", "ownership_mismatch"},
    {"security", "integrity_violation"},
    // Matrix 7: what must never happen.
    {"never", "silent_reset"},
    {"never", "dual_active"},
    {"never", "stale_version_accepted"},
    {"never", "reused_nonce_accepted"},
    {"never", "past_ttl"},
    {"never", "implicit_downgrade"},
    // Isolation 2: a failing transport; the last three are what it may cause.
    {"isolation.2", "identity_not_corrupted"},
    {"isolation.2", "crypto_context_kept"},
    {"isolation.2", "no_silent_reset"},
    {"isolation.2", "policy_limits_kept"},
    {"isolation.2", "to_volatile"},
    {"isolation.2", "explicit_recovery"},
    {"isolation.2", "bounded_switching"},
    // Isolation 3: failed security checks.
    {"isolation.3", "operation_rejected"},
    {"isolation.3", "active_transport_kept"},
    {"isolation.3", "identity_kept"},
    {"isolation.3", "no_uncontrolled_recovery"},
    {"isolation.3", "security_event"},
    {"isolation.3", "repeats_degrade_at_most"},
    // Isolation 4: a policy that can't be used.
    {"isolation.4", "new_sessions_denied"},
    {"isolation.4", "sessions_keep_previous_policy"},
    {"isolation.4", "failure_logged"},
    {"isolation.4", "no_automatic_termination"},
    // Isolation 5: a state that can't be.
    {"isolation.5", "transition_rejected"},
    {"isolation.5", "diagnostic_event"},
    {"isolation.5", "termination_over_undefined"},
};

}  // namespace jvpn::test
