// Keeps the host closed while the client runs: sets guards, rules and routes again that somebody
// takes away, and warns of routes of others that go before a guard. What fails is tried again.
#pragma once

#include <set>
#include <string>

#include "common/types.h"
#include "tools/client/tunnel/tunnel_interface.h"

namespace jvpn::client::control {

class GuardKeeper {
 public:
  /// Between two attempts; each failure doubles it.
  static constexpr Millis kFirstRetry{100};
  static constexpr Millis kLongestRetry{10'000};

  /// `tunnel` outlives the keeper.
  explicit GuardKeeper(tunnel::TunnelInterface& tunnel) : tunnel_(tunnel) {}

  /// Readable when take() has something.
  int descriptor() const { return tunnel_.guards_descriptor(); }
  /// Answers what the kernel has announced.
  void take(Millis now);
  /// Looks for routes of others that are there already.
  void look(Millis now);
  /// When advance() has something to try again.
  Millis due() const { return due_; }
  void advance(Millis now);

  /// Routes of others that were warned of and are still there.
  const std::set<std::string>& competing() const { return competing_; }

 private:
  void work(Millis now);
  bool restore();
  bool compare();

  tunnel::TunnelInterface& tunnel_;
  bool must_restore_ = false;
  bool must_compare_ = false;
  Millis retry_ = kFirstRetry;
  Millis due_ = kNever;
  std::set<std::string> competing_;
};

}  // namespace jvpn::client::control
