// The policy: every bound that the state machine and the quality logic obey (docs/DESIGN.md,
// policy).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/types.h"

namespace jvpn {

/// How the death of a path is found (docs/DESIGN.md, finding a dead path).
enum class Detection : uint8_t {
  kAdaptive,  ///< by probes that go unanswered, in round trips; within transport_dead at most
  kFixed,     ///< by transport_dead alone
};

enum class OnRateExceeded : uint8_t { kDegrade, kTerminate };

/// One loaded, valid policy. Immutable; a reload makes a new one. All spans in milliseconds.
struct Policy {
  uint32_t version = 1;

  struct Session {
    Millis max_lifetime{28'800'000};
    Millis transport_loss_ttl{15'000};
    Millis idle_max{0};  ///< longest interval an idle client may announce; 0: none
    bool operator==(const Session&) const = default;
  } session;

  struct Volatility {
    Millis heartbeat_interval{500};
    Millis heartbeat_volatile{1'000};
    Millis transport_dead{2'000};
    Detection detection = Detection::kAdaptive;
    Millis detection_floor{10};  ///< least patience with an answer, whatever the round trip
    Millis loss_window{2'000};
    uint32_t loss_min_samples = 20;
    double loss_volatile_threshold = 0.20;
    std::optional<Millis> jitter_volatile;   ///< none: not judged
    std::optional<Millis> latency_volatile;  ///< none: not judged
    std::optional<double> quality_floor;     ///< least delivered fraction, 0…1; none: not judged
    Millis stability_window{3'000};
    Millis volatile_to_recovering{1'500};
    Millis volatile_to_degraded{4'000};
    uint32_t max_flaps_per_min = 6;
    bool operator==(const Volatility&) const = default;
  } volatility;

  struct Switching {
    uint32_t max_switches_per_min = 8;
    OnRateExceeded on_rate_exceeded = OnRateExceeded::kDegrade;
    Millis switch_cooldown{1'500};
    Millis max_recovery_window{10'000};
    uint32_t max_recovery_attempts = 3;
    Millis recovery_attempt{2'000};
    double switch_improvement_factor = 1.10;
    Millis drain{250};
    /// What was sent so lately is held, and what waits for a path so long; 0: nothing is.
    Millis hold{0};
    uint32_t hold_bytes = 0;  ///< of all that one session holds; the oldest give way
    bool holds() const { return hold != Millis{0} && hold_bytes != 0; }
    std::optional<Millis> failback_when_stable;  ///< none: never
    bool operator==(const Switching&) const = default;
  } switching;

  struct Transport {
    /// May a session go over TCP, too, where no UDP passes? A gateway sees UDP alone.
    bool tcp = false;
    uint32_t max_candidate_count = 3;
    Millis candidate_validation_ttl{10'000};
    bool operator==(const Transport&) const = default;
  } transport;

  struct Security {
    Millis reattach_proof_max_age{5'000};
    uint32_t reattach_rate_per_s = 10;
    bool operator==(const Security&) const = default;
  } security;

  struct Observability {
    uint32_t event_ring = 4'096;          ///< events waiting for the sink
    uint32_t security_events_per_s = 10;  ///< sampling bound of SECURITY_EVENT
    bool operator==(const Observability&) const = default;
  } observability;

  bool operator==(const Policy&) const = default;
};

/// What a profile needn't say: a client holds packets, a gateway doesn't.
inline constexpr Millis kClientHold{3'000};
inline constexpr uint32_t kHoldBytes = 4U << 20;

}  // namespace jvpn
