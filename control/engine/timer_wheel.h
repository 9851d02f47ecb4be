// Hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): 64 slots a level, 1 ms a tick.
//
// Timers are dense numbers, with room made by grow(), so that arming never allocates. A timer
// stands on the level of the highest base-64 digit in which its time differs from the present,
// hence every timer of a level is due before those of the level above, and bitmaps find the next
// one at once.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/types.h"

namespace jvpn::engine {

/// Not for concurrent use. Time never runs backwards: an earlier `now` changes nothing.
class TimerWheel {
 public:
  /// Room for timers 0 … `timers` - 1, none of them armed.
  TimerWheel(uint32_t timers, Millis now) : current_(now.value), nodes_(timers) {}

  /// Room for timers up to `timers` - 1; those there are stay as they are.
  void grow(uint32_t timers) {
    if (timers > nodes_.size()) nodes_.resize(timers);
  }

  /// Sets or moves a timer, O(1). A time that has come already means the next millisecond.
  void arm(uint32_t timer, Millis at) {
    cancel(timer);
    nodes_[timer].at = at.value > current_ ? at.value : current_ + 1;
    place(timer);
  }

  /// O(1); also takes back a timer that expired but wasn't popped.
  void cancel(uint32_t timer) {
    if (nodes_[timer].list != kNowhere) unlink(timer);
  }

  bool armed(uint32_t timer) const { return nodes_[timer].list != kNowhere; }

  /// Moves time on. What is due by then is popped in order of time, for equal times of arming.
  /// Handles at most so many timers. False: time stands still until later calls have done the rest.
  bool expire(Millis now, size_t at_most = SIZE_MAX) {
    for (;;) {
      if (unfinished_ != kNowhere && !redistribute(unfinished_, at_most)) return false;
      unfinished_ = kNowhere;
      const uint64_t slot = next_slot();
      if (slot > now.value || slot == kNoSlot) break;
      unfinished_ = list_of(slot);
      current_ = slot;
    }
    if (now.value > current_) current_ = now.value;
    return true;
  }

  /// The next expired timer, no longer armed; nullopt when there is none.
  std::optional<uint32_t> pop() {
    const uint32_t timer = lists_[kExpired].head;
    if (timer == kNone) return std::nullopt;
    unlink(timer);
    return timer;
  }

  /// When expire() has work next, never later than the earliest timer; Millis{UINT64_MAX}: never.
  Millis next() const {
    const bool at_once = lists_[kExpired].head != kNone || unfinished_ != kNowhere;
    return Millis{at_once ? current_ : next_slot()};
  }

 private:
  static constexpr uint32_t kDigitBits = 6;
  static constexpr uint32_t kSlots = 1U << kDigitBits;
  static constexpr uint32_t kLevels = (64 + kDigitBits - 1) / kDigitBits;
  static constexpr uint32_t kExpired = kLevels * kSlots;
  static constexpr uint32_t kNowhere = kExpired + 1;
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kNoSlot = UINT64_MAX;

  struct Node {
    uint64_t at = 0;
    uint32_t next = kNone;
    uint32_t previous = kNone;
    uint32_t list = kNowhere;
  };
  struct List {
    uint32_t head = kNone;
    uint32_t tail = kNone;
  };

  // Number of the slot list that a time after `current_` falls into.
  uint32_t list_of(uint64_t at) const {
    const auto highest = static_cast<uint32_t>(std::bit_width(at ^ current_)) - 1;
    const uint32_t level = highest / kDigitBits;
    return level * kSlots + static_cast<uint32_t>((at >> (level * kDigitBits)) % kSlots);
  }

  // When the first slot in use begins.
  uint64_t next_slot() const {
    for (uint32_t level = 0; level < kLevels; ++level) {
      if (used_[level] == 0) continue;
      const uint32_t shift = level * kDigitBits;
      const uint64_t above = shift + kDigitBits >= 64 ? 0 : ~uint64_t{0} << (shift + kDigitBits);
      return (current_ & above) | static_cast<uint64_t>(std::countr_zero(used_[level])) << shift;
    }
    return kNoSlot;
  }

  void place(uint32_t timer) {
    const uint64_t at = nodes_[timer].at;
    link(timer, at <= current_ ? kExpired : list_of(at));
  }

  // Puts the timers of a slot whose time has come where they belong now. False: `left` were too
  // few.
  bool redistribute(uint32_t list, size_t& left) {
    while (lists_[list].head != kNone) {
      if (left-- == 0) {
        left = 0;
        return false;
      }
      const uint32_t timer = lists_[list].head;
      unlink(timer);
      place(timer);
    }
    return true;
  }

  void link(uint32_t timer, uint32_t list) {
    Node& node = nodes_[timer];
    node.list = list;
    node.next = kNone;
    node.previous = lists_[list].tail;
    (node.previous == kNone ? lists_[list].head : nodes_[node.previous].next) = timer;
    lists_[list].tail = timer;
    if (list < kExpired) used_[list / kSlots] |= uint64_t{1} << (list % kSlots);
  }

  void unlink(uint32_t timer) {
    Node& node = nodes_[timer];
    List& list = lists_[node.list];
    (node.previous == kNone ? list.head : nodes_[node.previous].next) = node.next;
    (node.next == kNone ? list.tail : nodes_[node.next].previous) = node.previous;
    if (list.head == kNone && node.list < kExpired) {
      used_[node.list / kSlots] &= ~(uint64_t{1} << (node.list % kSlots));
    }
    node.list = kNowhere;
  }

  uint64_t current_;
  uint32_t unfinished_ = kNowhere;  ///< list of the slot that is being redistributed
  std::vector<Node> nodes_;
  std::array<List, kExpired + 1> lists_{};
  std::array<uint64_t, kLevels> used_{};
};

}  // namespace jvpn::engine
