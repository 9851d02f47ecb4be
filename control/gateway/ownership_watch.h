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
    const Millis until = store_->safe_until();
    if (until == kNever) return;  // nobody else can own what is ours
    store_->note_alive(now, watch_data_path(now));
    emit_change(now, until, emit);
    if (until == known_) return;
    known_ = until;
    sessions_.set_silent_after(clock_.tsc_at(until));
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
  bool proven_ = false;
  Millis known_ = kNever;
  Millis silent_since_{};
};

}  // namespace jvpn::gateway
