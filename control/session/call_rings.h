// What joins control with a store's thread: calls go one way, replies the other, and neither waits.
// So many calls may be unanswered as either ring has room for.
#pragma once

#include <optional>

#include "common/assert.h"
#include "common/spsc_ring.h"
#include "control/session/doorbell.h"
#include "control/session/ownership.h"

namespace jvpn::session {

class CallRings {
 public:
  explicit CallRings(size_t calls) : calls_(calls), replies_(calls) {}
  /// False: the system has no descriptor left.
  explicit operator bool() const { return static_cast<bool>(answered_); }

  // ---- Control.

  /// False: too many are unanswered.
  bool ask(const OwnershipCall& call) {
    if (unanswered_ == calls_.capacity()) return false;
    const bool pushed = calls_.push(call);
    JVPN_ASSERT(pushed, "a call that may be unanswered has room");
    ++unanswered_;
    return true;
  }
  std::optional<OwnershipReply> take() {
    std::optional<OwnershipReply> reply(std::in_place);
    const bool taken = replies_.pop(*reply) || (answered_.answer() && replies_.pop(*reply));
    if (!taken) return std::nullopt;
    --unanswered_;
    return reply;
  }
  size_t unanswered() const { return unanswered_; }
  bool has_replies() const { return !replies_.empty(); }
  /// Readable after wake(), until take() finds nothing.
  int descriptor() const { return answered_.descriptor(); }

  // ---- The store's thread.

  bool has_calls() const { return !calls_.empty(); }
  std::optional<OwnershipCall> next() {
    OwnershipCall call;
    return calls_.pop(call) ? std::optional(call) : std::nullopt;
  }
  void answer(const OwnershipReply& reply) {
    const bool pushed = replies_.push(reply);
    JVPN_ASSERT(pushed, "there are no more replies than calls");
  }
  /// Control is to look.
  void wake() { answered_.ring(); }

 private:
  SpscRing<OwnershipCall> calls_;
  SpscRing<OwnershipReply> replies_;
  size_t unanswered_ = 0;  ///< control's
  Doorbell answered_;
};

}  // namespace jvpn::session
