// Packets that come while no path carries the session: the latest of them wait a little, and go
// when there is one again. TCP, whose pauses between attempts double, then goes on at once, not at
// its next attempt. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/types.h"
#include "tools/client/tunnel/tun.h"

namespace jvpn::client::dataplane {

class Hold {
 public:
  static constexpr size_t kMostBytes = 256 << 10;  ///< then the oldest give way
  static constexpr Millis kLongest{3'000};         ///< what is older is of no use to anybody

  struct Packet {
    Millis at;
    tunnel::VnetHeader header{};
    std::vector<uint8_t> bytes;
  };

  /// Keeps a copy. Returns how many were dropped for it, this one among them if it is too large.
  size_t keep(Millis now, const tunnel::VnetHeader& header, std::span<const uint8_t> packet) {
    if (packet.size() > kMostBytes) return 1;
    size_t dropped = drop_old(now);
    for (; bytes_ + packet.size() > kMostBytes; ++dropped) pop();
    packets_.push_back({now, header, {packet.begin(), packet.end()}});
    bytes_ += packet.size();
    return dropped;
  }
  /// Drops what has waited too long; returns how many.
  size_t drop_old(Millis now) {
    size_t dropped = 0;
    for (; !packets_.empty() && now - packets_.front().at > kLongest; ++dropped) pop();
    return dropped;
  }
  /// The oldest, if there is one.
  std::optional<Packet> take() {
    if (packets_.empty()) return std::nullopt;
    Packet packet = std::move(packets_.front());
    packets_.pop_front();
    bytes_ -= packet.bytes.size();
    return packet;
  }
  bool empty() const { return packets_.empty(); }

 private:
  void pop() {
    bytes_ -= packets_.front().bytes.size();
    packets_.pop_front();
  }

  std::deque<Packet> packets_;
  size_t bytes_ = 0;
};

}  // namespace jvpn::client::dataplane
