// Stores of ownership that do what a cluster's may do: answer late, not at all, or that another
// node was faster.
#pragma once

#include <utility>
#include <vector>

#include "control/session/ownership.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

class TestStore final : public MemoryOwnership {
 public:
  bool authoritative(const SessionId& session) const override {
    return reachable && MemoryOwnership::authoritative(session);
  }
  void commit(Millis now, const SessionId& session, BindingVersion expected, BindingVersion next,
              Done done) override {
    ++commits;
    if (stolen) reachable = false;
    if (late) return waiting.push_back(std::move(done));
    if (!answers) return done(now, OwnershipAnswer::kUnavailable);
    MemoryOwnership::commit(now, session, expected, next, std::move(done));
  }
  /// Answers whoever waits.
  void answer(Millis now, OwnershipAnswer what) {
    for (Done& done : std::exchange(waiting, {})) done(now, what);
  }
  /// Another node takes the session over, as its own compare-and-set would.
  void take_over(Millis now, const SessionId& session, BindingVersion from, BindingVersion to) {
    MemoryOwnership::commit(now, session, from, to, [](Millis, OwnershipAnswer) {});
  }

  bool reachable = true;  ///< before a commit is tried
  bool answers = true;    ///< when one is
  bool late = false;
  bool stolen = false;  ///< whoever tries to commit learns that another node owns the session
  size_t commits = 0;
  std::vector<Done> waiting;
};

}  // namespace jvpn::test
