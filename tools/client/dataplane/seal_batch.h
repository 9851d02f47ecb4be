// Inner packets on their way out, packed one behind the other as they go on the wire, so that runs
// of equal size leave by one UDP GSO call without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/wire.h"
#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::client::dataplane {

/// Packets of one burst: [transport header][inner packet][tag], contiguous. One thread.
class SealBatch : public tunnel::PacketSink {
 public:
  static constexpr size_t kPackets = 512;
  /// Four super-packets of the largest size, with what their tunnel headers add.
  static constexpr size_t kBytes =
      4 * (tunnel::kMaxSuperPacket + 64 * (wire::kTransportOverhead + 64));

  SealBatch() : buffer_(kBytes) { packets_.reserve(kPackets); }

  uint8_t* next(size_t inner_bytes) override {
    const size_t wire_bytes = inner_bytes + wire::kTransportOverhead;
    if (packets_.size() == kPackets || used_ + wire_bytes > buffer_.size()) return nullptr;
    uint8_t* const at = buffer_.data() + used_;
    packets_.emplace_back(at, wire_bytes);
    used_ += wire_bytes;
    return at + sizeof(wire::TransportHeader);
  }

  /// Room for `packets` more of `bytes` inner bytes altogether?
  bool has_room(size_t packets, size_t bytes) const {
    return packets_.size() + packets <= kPackets &&
           used_ + bytes + packets * wire::kTransportOverhead <= buffer_.size();
  }
  /// Takes back the packets from `count` on.
  void truncate(size_t count) {
    for (; packets_.size() > count; packets_.pop_back()) used_ -= packets_.back().size();
  }
  void clear() { truncate(0); }

  bool empty() const { return packets_.empty(); }
  /// Each with its header and tag; neighbours in memory.
  std::span<std::span<uint8_t>> packets() { return packets_; }

 private:
  std::vector<uint8_t> buffer_;
  size_t used_ = 0;
  std::vector<std::span<uint8_t>> packets_;
};

}  // namespace jvpn::client::dataplane
