// Binary search for the highest rate whose loss stays within a goal: NDR with goal 0, PDR with
// 0.5 %. Pure, any thread.
#pragma once

#include <algorithm>
#include <optional>

namespace jvpn::perf {

class RateSearch {
 public:
  /// Between `low`, known or supposed to be within the goal, and `high`; ends when they are within
  /// `width` (a fraction of `high`) of each other. Any unit.
  RateSearch(double low, double high, double width, double goal)
      : low_(low), high_(high), width_(width), goal_(goal) {}

  /// The rate to try; nullopt: found.
  std::optional<double> next() const {
    if (high_ - low_ <= width_ * high_) return std::nullopt;
    return (low_ + high_) / 2;
  }
  /// What a trial at next() gave: the rate that was offered indeed, the fraction lost.
  void take(double rate, double loss) {
    if (loss <= goal_)
      low_ = std::max(low_, std::min(rate, high_));
    else
      high_ = std::clamp(rate, low_, high_);
  }
  double found() const { return low_; }

 private:
  double low_;
  double high_;
  double width_;
  double goal_;
};

}  // namespace jvpn::perf
