#include "tools/client/dataplane/hold_pace.h"

#include <algorithm>

namespace jvpn::client::dataplane {

bool HoldPace::due(Millis now, Millis came) {
  // An older one than the latest waits again: its path has died.
  if (!running_ || came < latest_) {
    running_ = true;
    read_ = now;
    clock_ = latest_ = came;
    left_ = kAtOnce;
  }
  const uint64_t passed = std::min(now.value - read_.value, kLongestStep.value);
  read_ = now;
  clock_.value += kFaster * passed;
  if (came > clock_ + kLongestGap) clock_.value = came.value - kLongestGap.value;
  return left_ != 0 || came <= clock_;
}

void HoldPace::sent(Millis came) {
  latest_ = came;
  if (left_ != 0) --left_;
}

}  // namespace jvpn::client::dataplane
