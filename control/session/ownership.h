// Who decides which binding of a session counts (docs/DESIGN.md, durability): a compare-and-set on
// its binding_version, answered later or at once. Memory is the first store; etcd and SQLite
// follow.
//
// Control thread only: completions come on it, never from within another thread.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "common/types.h"

namespace jvpn::session {

enum class OwnershipAnswer : uint8_t {
  kCommitted,
  kConflict,    ///< another version is there, or nobody owns the session
  kUnavailable  ///< no answer can be had: count on nothing
};

class Ownership {
 public:
  using Done = std::function<void(Millis now, OwnershipAnswer)>;
  virtual ~Ownership() = default;

  /// This end owns a new session from `version` on.
  virtual void claim(const SessionId& session, BindingVersion version) = 0;
  /// Whether a commit may be tried now. False: in doubt, or somebody else's.
  virtual bool authoritative(const SessionId& session) const = 0;
  /// Puts `next` in the place of `expected`, if that is still there. Calls `done` exactly once,
  /// from within or later from the control loop, never from within the other calls here, nor while
  /// a host carries out effects.
  virtual void commit(Millis now, const SessionId& session, BindingVersion expected,
                      BindingVersion next, Done done) = 0;
  /// The session has ended.
  virtual void forget(const SessionId& session) = 0;
};

/// In this process's memory: answers from within. Several engines may share one.
class MemoryOwnership : public Ownership {
 public:
  /// With room for so many sessions.
  explicit MemoryOwnership(size_t sessions = 0) { versions_.reserve(sessions); }
  void claim(const SessionId& session, BindingVersion version) override {
    versions_[session] = version;
  }
  bool authoritative(const SessionId& session) const override {
    return versions_.contains(session);
  }
  void commit(Millis now, const SessionId& session, BindingVersion expected, BindingVersion next,
              Done done) override {
    const auto at = versions_.find(session);
    if (at == versions_.end() || at->second != expected) {
      return done(now, OwnershipAnswer::kConflict);
    }
    at->second = next;
    done(now, OwnershipAnswer::kCommitted);
  }
  void forget(const SessionId& session) override { versions_.erase(session); }

 private:
  std::unordered_map<SessionId, BindingVersion> versions_;
};

}  // namespace jvpn::session
