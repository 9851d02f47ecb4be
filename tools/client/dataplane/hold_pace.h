// How fast what waited in the hold goes, once there is a path: several times as fast as it came, so
// that no queue on the way gets seconds of traffic at once, and what waits becomes less whatever
// comes meanwhile. One thread.
#pragma once

#include <cstddef>

#include "common/types.h"

namespace jvpn::client::dataplane {

class HoldPace {
 public:
  static constexpr uint64_t kFaster = 4;  ///< than it came
  /// Packets that go at once: what a path swallows within a fast verdict is seldom more, and any
  /// sender of TCP sends as many.
  static constexpr size_t kAtOnce = 128;
  static constexpr Millis kLongestGap{8};   ///< between two packets; longer ones are cut short
  static constexpr Millis kLongestStep{5};  ///< that is made good after we stood still

  /// Nothing waits, or nothing can go: the next packet begins anew.
  void stop() { running_ = false; }
  /// May the first that waits, which came at `came`, go now? What came before it has gone.
  bool due(Millis now, Millis came);
  /// It goes.
  void sent(Millis came);

 private:
  bool running_ = false;
  Millis read_;  ///< when clock_ was set
  /// The time at which packets came that are due now: it goes kFaster as fast as our own.
  Millis clock_;
  Millis latest_;    ///< when the latest that went had come
  size_t left_ = 0;  ///< of those that go at once
};

}  // namespace jvpn::client::dataplane
