// Packets that the data path refuses for what they claim: it counts them, this makes events of what
// the counters gained. Each counter is told at once, and then once in ten seconds while it goes on;
// the event says how many packets it stands for. Control thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/drop.h"
#include "common/reason.h"
#include "common/types.h"
#include "control/session/event.h"

namespace jvpn::events {

class DropWatch {
 public:
  /// `count(Drop)` is a counter's total, `tell(Event)` takes the events. Looks once a second.
  template <typename Count, typename Tell>
  void poll(Millis now, uint32_t policy_version, Count count, Tell tell) {
    if (now < due_) return;
    due_ = now + kLook;
    for (size_t i = 0; i < kWatched.size(); ++i) {
      const Watched& watched = kWatched[i];
      State& state = states_[i];
      const uint64_t total = count(watched.drop);
      if (total == state.told || now < state.quiet_until) continue;
      session::Event event;
      event.kind = session::EventKind::kSecurityEvent;
      event.at = now;
      event.policy_version = policy_version;
      event.reason = watched.reason;
      event.detail = watched.detail;
      event.check = kDropInfo[static_cast<size_t>(watched.drop)].name;
      event.count = total - state.told;
      state = {total, now + kQuiet};
      tell(event);
    }
  }

 private:
  static constexpr Millis kLook{1'000};
  static constexpr Millis kQuiet{10'000};

  struct Watched {
    Drop drop;
    Reason reason;
    Detail detail;
  };
  static constexpr std::array<Watched, 13> kWatched{{
      {Drop::kBadTag, Reason::kAuthFail, Detail::kNone},
      {Drop::kUnknownIndex, Reason::kSessionNotFound, Detail::kNone},
      {Drop::kReplayDuplicate, Reason::kSecReplayAttempt, Detail::kNone},
      {Drop::kReplayTooOld, Reason::kSecReplayAttempt, Detail::kNone},
      {Drop::kBadMac, Reason::kHandshakeFail, Detail::kAuthentication},
      {Drop::kUnawaitedAnswer, Reason::kSecAbuseControlPlane, Detail::kNone},
      {Drop::kUnconfirmedSource, Reason::kSecAbuseControlPlane, Detail::kNone},
      {Drop::kControlRate, Reason::kSecAbuseControlPlane, Detail::kThrottled},
      {Drop::kCookieRate, Reason::kSecAbuseControlPlane, Detail::kThrottled},
      {Drop::kHandshakeRepeated, Reason::kSecAbuseControlPlane, Detail::kThrottled},
      {Drop::kHandshakeShare, Reason::kSecAbuseControlPlane, Detail::kThrottled},
      {Drop::kSessionExpired, Reason::kSessionExpired, Detail::kNone},
      {Drop::kControlRingFull, Reason::kSecAbuseControlPlane, Detail::kThrottled},
  }};
  struct State {
    uint64_t told = 0;  ///< of the counter's total
    Millis quiet_until;
  };

  Millis due_;
  std::array<State, kWatched.size()> states_{};
};

}  // namespace jvpn::events
