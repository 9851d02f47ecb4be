// Inner packets that may still be needed: those sent lately, which a path that died may not have
// delivered, and those that wait because no path carries the session (docs/DESIGN.md, hold).
//
// One ring of bytes, packets in the order in which they came:
//
//   oldest ── sent, sent, sent, waiting, waiting ── latest
//
// A sent packet that the gateway hasn't received waits again, in its place, so the order of a flow
// stays as it was whatever becomes of a path meanwhile. Within `bytes`, its own notes included, and
// for `longest` after it came; then the oldest give way. What goes is wiped. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "common/lane_report.h"
#include "common/policy.h"
#include "common/types.h"
#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::client::dataplane {

struct HoldLimits {
  Millis longest{};  ///< 0: nothing is held
  size_t bytes = 0;  ///< likewise
  bool operator==(const HoldLimits&) const = default;
};

inline HoldLimits hold_limits(const Policy& policy) {
  return {policy.switching.hold, policy.switching.hold_bytes};
}

/// Packets since the start.
struct HoldCounts {
  uint64_t resent = 0;     ///< sent, reported as missing, and sent again
  uint64_t unsettled = 0;  ///< sent, and let go because nobody told whether they arrived
  uint64_t crowded = 0;    ///< sent, and let go before their time for want of bytes
};

/// Packets that waited and were dropped.
struct HoldDrops {
  uint64_t full = 0;  ///< the oldest, for want of bytes
  uint64_t late = 0;  ///< waited for too long
};

class Hold {
 public:
  Hold() = default;
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  /// Other limits of bytes, or none, drop all that is held.
  void set_limits(const HoldLimits& limits);
  const HoldLimits& limits() const { return limits_; }
  bool on() const { return memory_ != nullptr; }

  /// Lets go of what is too old.
  void expire(Millis now);
  /// Keeps a copy of a packet that is about to be sealed under that index and counter.
  void keep_sent(Millis now, ReceiverIndex index, uint64_t counter,
                 std::span<const uint8_t> packet);
  /// Keeps the packets of a super-packet, cut, until there is a path.
  tunnel::SplitVerdict keep_waiting(Millis now, const tunnel::VnetHeader& header,
                                    std::span<const uint8_t> packet);
  /// What the gateway hasn't received of what was sent waits again. What it has, and what it didn't
  /// tell of, is held no longer.
  void settle(std::span<const LaneReport> reports);
  /// The path in use carried all that was sent: it is held no longer.
  void forget_sent();

  // Sending what waits, oldest first: rewind(), then next() until the batch is full, then either
  // mark_sent() or drop_next() for each of them, in order. Nothing else is called in between.

  size_t waiting() const { return waiting_; }
  void rewind() { copied_ = first_waiting_; }
  /// When the packet came that next() gives; nullopt: there is none.
  std::optional<Millis> next_came();
  /// The next packet that waits, still in the hold; empty: there is none.
  std::span<const uint8_t> next();
  /// The first that waits is about to be sealed under that index and counter.
  void mark_sent(ReceiverIndex index, uint64_t counter);
  /// The first that waits can't be sent.
  void drop_next();

  /// Too little is left for a super-packet: if one came, what waits would give way to it.
  bool nearly_full() const;
  size_t bytes() const { return tail_ - head_; }  ///< of packets and notes, at most the limit
  size_t packets() const { return packets_; }
  const HoldCounts& counts() const { return counts_; }
  /// Since the last call.
  HoldDrops take_drops();

 private:
  enum class State : uint8_t { kWaiting, kSent, kDone, kGap };
  /// In front of each packet. A gap fills the ring's end.
  struct Item {
    uint64_t counter = 0;
    Millis at;
    ReceiverIndex index;
    uint32_t bytes = 0;  ///< of the packet; of a gap all but the note
    State state = State::kGap;
    bool again = false;  ///< was sent before
  };
  class Waiting;

  Item& item(uint64_t at) { return *reinterpret_cast<Item*>(memory_.get() + at % capacity_); }
  uint8_t* packet(uint64_t at) { return memory_.get() + at % capacity_ + sizeof(Item); }
  size_t to_end(uint64_t at) const { return capacity_ - at % capacity_; }
  static size_t space(size_t bytes);
  uint64_t skip_gap(uint64_t at);
  uint8_t* push(const Item& item);
  void pop_oldest();
  void pop_done();
  uint64_t waiting_from(uint64_t at);
  void end_first_waiting(State state);
  void clear();

  HoldLimits limits_;
  std::unique_ptr<uint8_t[]> memory_;
  size_t capacity_ = 0;
  // Places in the ring, which only grow: the byte is that of the remainder.
  uint64_t head_ = 0;           ///< the oldest item, or the gap before it
  uint64_t tail_ = 0;           ///< where the next one goes
  uint64_t first_waiting_ = 0;  ///< tail_: none waits
  uint64_t copied_ = 0;         ///< next() goes on there
  size_t packets_ = 0;
  size_t waiting_ = 0;
  HoldCounts counts_;
  HoldDrops drops_;
};

}  // namespace jvpn::client::dataplane
