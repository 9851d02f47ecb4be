// What an engine's sessions come to, kept as they change: nobody has to look at each to know.
// Control thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/reason.h"
#include "common/wire.h"
#include "control/session/state_machine.h"

namespace jvpn::session {

struct SessionTotals {
  static constexpr size_t kStates = static_cast<size_t>(State::kTerminated) + 1;
  static constexpr size_t kCauses = static_cast<size_t>(wire::ReattachCause::kResume) + 1;
  static constexpr size_t kReasons = static_cast<size_t>(Reason::kKeyLifetimeExceeded) + 1;

  /// Sessions that there are, by State; each counts itself. BIRTH: handshakes that aren't
  /// confirmed, those that would go on with a session among them.
  std::array<uint64_t, kStates> sessions{};
  /// Committed jumps by wire::ReattachCause; 0: a cause that this version doesn't know.
  std::array<uint64_t, kCauses> jumps{};
  /// Sessions that had been attached and ended, by Reason.
  std::array<uint64_t, kReasons> ended{};
  uint64_t forgotten = 0;  ///< without an end: somebody else owns them

  void count_jump(wire::ReattachCause cause) {
    const auto number = static_cast<size_t>(cause);
    ++jumps[number < kCauses ? number : 0];
  }
  void count_end(Reason reason) { ++ended.at(static_cast<size_t>(reason)); }
};

}  // namespace jvpn::session
