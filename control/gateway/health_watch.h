// Tells by an event when a flag of health is raised, and when it is gone. One that comes and goes
// is told once in ten seconds at most, so that a flapping cause fills no log. Control thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/reason.h"
#include "common/types.h"
#include "control/gateway/health_flags.h"
#include "control/session/event.h"

namespace jvpn::gateway {

class HealthWatch {
 public:
  static constexpr Millis kLook{1'000};
  static constexpr Millis kRaisedLeast{10'000};  ///< from a flag's event to that of its end

  /// `flags()` is asked once a second, `tell(Event)` takes the events.
  template <typename FlagsOf, typename Tell>
  void poll(Millis now, uint32_t policy_version, FlagsOf flags, Tell tell) {
    if (now < due_) return;
    due_ = now + kLook;
    const HealthFlags current = flags();
    for (const HealthFlag& flag : current.all()) {
      Raised* known = find(flag.name);
      if (known == nullptr) {
        raised_.push_back({flag.name, now, flag.count});
        tell(event(now, policy_version, Reason::kHealthRaised, raised_.back()));
      } else {
        known->count = flag.count;
      }
    }
    const auto gone = [&](const Raised& raised) {
      if (now < raised.since + kRaisedLeast || has(current, raised.name)) return false;
      tell(event(now, policy_version, Reason::kHealthCleared, raised));
      return true;
    };
    raised_.erase(std::remove_if(raised_.begin(), raised_.end(), gone), raised_.end());
  }

 private:
  struct Raised {
    const char* name;
    Millis since;
    std::optional<uint64_t> count;
  };

  Raised* find(std::string_view name) {
    const auto at = std::find_if(raised_.begin(), raised_.end(),
                                 [&](const Raised& raised) { return raised.name == name; });
    return at == raised_.end() ? nullptr : &*at;
  }
  static bool has(const HealthFlags& flags, std::string_view name) {
    return std::any_of(flags.all().begin(), flags.all().end(),
                       [&](const HealthFlag& flag) { return flag.name == name; });
  }
  static session::Event event(Millis now, uint32_t policy_version, Reason reason,
                              const Raised& raised) {
    session::Event event;
    event.kind = session::EventKind::kHealthEvent;
    event.at = now;
    event.policy_version = policy_version;
    event.reason = reason;
    event.check = raised.name;
    event.count = raised.count;
    if (reason == Reason::kHealthCleared) event.duration_ms = (now - raised.since).value;
    return event;
  }

  Millis due_;
  std::vector<Raised> raised_;  ///< as many as there are names
};

}  // namespace jvpn::gateway
