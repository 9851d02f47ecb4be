// What a gateway's store proves, for the workers: until when what we own can't be another's.
// Control thread only.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/session_table.h"
#include "control/gateway/data_path_watch.h"
#include "control/gateway/gateway_clock.h"
#include "control/session/event.h"
#include "control/session/ownership.h"

namespace jvpn::gateway {

class OwnershipWatch {
 public:
  /// `store` may be null: everything is ours for good. All outlive it.
  OwnershipWatch(session::Ownership* store, const DataplaneView& view, const GatewayClock& clock)
      : store_(store), sessions_(view.sessions), clock_(clock), data_path_(view) {}

  /// Each turn of the loop: the store learns that control is at work, the workers what it proves,
  /// and `emit(Event)` takes when that begins and ends.
  template <typename Emit>
  void poll(Millis now, Emit emit) {
    if (store_ == nullptr) return;
    const Millis proven = store_->safe_until();
    if (proven == kNever) return;  // nobody else can own what is ours
    const bool carries = carries_sessions(now);
    const Millis until = carries ? proven : Millis{0};
    emit_change(now, until, emit);
    if (until != known_) {
      known_ = until;
      sessions_.set_silent_after(clock_.tsc_at(until));
    }
    store_->note_alive(now, carries);  // last: who is told to give up is silent before others know
  }
  const session::Ownership* store() const { return store_; }
  /// Since when nothing is proven; nothing: it is, or needn't be.
  std::optional<Millis> silent_since() const {
    const bool unproven = !proven_ && silent_since_ != Millis{};
    return unproven ? std::optional<Millis>(silent_since_) : std::nullopt;
  }
  /// Readable when the store has something to tell; -1: never.
  int descriptor() const { return store_ == nullptr ? -1 : store_->descriptor(); }

 private:
  /// False from the data path's death on until the store has ended that run: another may have our
  /// sessions by then, whether or not the data path works again.
  bool carries_sessions(Millis now) {
    const uint64_t epoch = store_->epoch();
    if (!watch_data_path(now))
      given_up_ = epoch;
    else if (given_up_ != epoch)
      given_up_ = 0;
    return works_ && given_up_ == 0;
  }
  bool watch_data_path(Millis now) {
    const bool works = data_path_.works(now);
    if (works != std::exchange(works_, works))
      spdlog::warn(works ? "the data path works again"
                         : "the data path is dead: a worker stands still, or no outside or no "
                           "inside port has a link; our sessions are given up");
    return works;
  }
  /// A session is carried until its proof ends, whenever that is noticed.
  template <typename Emit>
  void emit_change(Millis now, Millis until, Emit emit) {
    const bool proven = now < until;
    if (silent_since_ == Millis{}) silent_since_ = now;  // the first turn
    if (proven == proven_) return;
    if (!proven) silent_since_ = std::min(known_, now);
    session::Event event;
    event.kind = session::EventKind::kOwnershipChange;
    event.at = now;
    event.reason = proven ? Reason::kOwnershipProven : Reason::kOwnershipConflict;
    event.detail = proven ? Detail::kNone : Detail::kStoreUnavailable;
    if (proven)
      event.to_epoch = store_->epoch();
    else
      event.duration_ms = (now - std::min(known_, now)).value;
    proven_ = proven;
    emit(event);
  }

  session::Ownership* store_;
  SessionTable& sessions_;
  const GatewayClock& clock_;
  DataPathWatch data_path_;
  bool works_ = true;
  uint64_t given_up_ = 0;  ///< the run that was ours when the data path died; 0: none
  bool proven_ = false;
  Millis known_ = kNever;
  Millis silent_since_{};
};

}  // namespace jvpn::gateway
