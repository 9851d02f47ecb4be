// What inquiries have shown of a path to a gateway that hasn't got the session, for the day on
// which it is claimed there. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "common/message_mac.h"
#include "common/types.h"
#include "common/wire_handshake.h"

namespace jvpn::session {

/// In the order in which gateways and paths are preferred for a claim.
enum class StandbyRank : uint8_t {
  kWarm,     ///< it answers there, and takes sessions
  kUnknown,  ///< not asked yet
  kNotNow,   ///< it answers, and takes none
  kSilent,   ///< inquiries in a row weren't answered
};

/// Written by protocol::Inquirer.
struct Standby {
  static constexpr uint32_t kSilentAfter = 2;  ///< one may be lost

  Millis next{};            ///< when it is asked; 0: not planned yet
  uint32_t unanswered = 0;  ///< inquiries in a row
  std::optional<Millis> unanswered_since{};
  std::optional<Millis> answered_at{};
  wire::Availability availability{};  ///< of the latest answer
  uint32_t rtt_us = 0;                ///< likewise
  Mac cookie{};                       ///< of the latest answer, or one that was told instead
  Millis cookie_until{};              ///< 0: there is none
  wire::Freshness freshness{};

  StandbyRank rank() const {
    if (unanswered >= kSilentAfter) return StandbyRank::kSilent;
    if (!answered_at) return StandbyRank::kUnknown;
    const bool takes = availability == wire::Availability::kTakesSessions;
    return takes ? StandbyRank::kWarm : StandbyRank::kNotNow;
  }
  /// For a claim.
  bool preferred_to(const Standby& other) const {
    return std::pair(rank(), rtt_us) < std::pair(other.rank(), other.rtt_us);
  }
};

}  // namespace jvpn::session
