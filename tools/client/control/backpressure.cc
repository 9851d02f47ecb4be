#include "tools/client/control/backpressure.h"

namespace jvpn::client::control {
namespace {

// Packets that were sealed before a jump may still leave by the old path, whose socket was full.
constexpr Millis kLeaveOldPath{20};

}  // namespace

// Waiting packets were sealed for the full socket's path and go nowhere else: after a jump they get
// a moment, without a path none.
void Backpressure::leave_old_path(Millis now) {
  const auto& blocked = outbound_.blocked();
  const std::optional<Path>& path = data_path_.path();
  if (!blocked || path == blocked) {
    abandon_at_ = kNever;
  } else if (!path) {
    outbound_.abandon(Drop::kNoBinding);
  } else if (abandon_at_ == kNever) {
    abandon_at_ = now + kLeaveOldPath;
    outbound_.resume();
  } else if (now >= abandon_at_) {
    outbound_.abandon(Drop::kTxFull);
  }
  if (!blocked) abandon_at_ = kNever;
}

void Backpressure::follow(Millis now) {
  leave_old_path(now);
  outbound_.resume_drained();
  outbound_.release(now);
  const auto& blocked = outbound_.blocked();
  const bool reads = !blocked && !outbound_.crowded();
  if (reads != reads_) loop_.change(tun_.descriptor, tun_.tag, reads, false);
  reads_ = reads;
  if (blocked == full_) return;
  if (full_) sockets_.watch_writable(*full_, false);
  if (blocked) sockets_.watch_writable(*blocked, true);
  full_ = blocked;
}

}  // namespace jvpn::client::control
