// Ports that have a link and hear nothing: a driver or queue that died, a cable into the wrong
// network. A quiet port is no silent one: hosts were asked by it that had answered before, and
// meanwhile another port heard something. Control thread only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/types.h"
#include "control/gateway/health_flags.h"

namespace jvpn::gateway {

class SilentPorts {
 public:
  static constexpr Millis kLook{1'000};
  static constexpr Millis kPatience{3'000};
  static constexpr uint64_t kQuestions = 3;

  /// What is known of a port.
  struct Seen {
    bool link_up = false;
    uint64_t received = 0;  ///< packets so far
    uint64_t asked = 0;     ///< questions so far to hosts that had answered before
  };

  /// `seen(port)` is asked once a second of each of `ports`.
  template <typename SeenOf>
  void poll(Millis now, size_t ports, SeenOf seen) {
    if (now < due_) return;
    due_ = now + kLook;
    count_ = std::min(ports, kMaxPorts);
    for (size_t port = 0; port < count_; ++port) take(now, port, seen(port));
  }

  /// Raises a flag for each; `name_of(port)` is for the operator.
  template <typename NameOf>
  void look(HealthFlags& flags, Millis now, NameOf name_of) const {
    for (size_t port = 0; port < count_; ++port) {
      if (!is_silent(port, now)) continue;
      const State& state = states_[port];
      flags.raise("port_silent", Severity::kDegraded,
                  fmt::format("port {} has a link, and nothing has come in by it for {:.0f} s, "
                              "though {} questions were asked that had been answered before: its "
                              "network, cable or driver; if others hear it, restart jvpnd",
                              name_of(port), static_cast<double>((now - state.heard).value) / 1'000,
                              state.last.asked - state.asked));
    }
  }

  bool is_silent(size_t port, Millis now) const {
    const State& state = states_[port];
    return state.last.link_up && now >= state.heard + kPatience &&
           state.last.asked - state.asked >= kQuestions && heard_elsewhere(port);
  }

 private:
  struct State {
    Seen last;
    Millis heard;        ///< when the latest packet was noticed
    uint64_t asked = 0;  ///< questions by then
  };

  void take(Millis now, size_t port, const Seen& seen) {
    State& state = states_[port];
    const bool heard = seen.received != state.last.received || state.heard == Millis{};
    if (heard || seen.link_up != state.last.link_up) {
      state.heard = now;
      state.asked = seen.asked;
    }
    state.last = seen;
  }
  /// Since this one did.
  bool heard_elsewhere(size_t port) const {
    for (size_t other = 0; other < count_; ++other) {
      if (other != port && states_[other].heard > states_[port].heard) return true;
    }
    return false;
  }

  Millis due_;
  size_t count_ = 0;
  std::array<State, kMaxPorts> states_{};
};

}  // namespace jvpn::gateway
