// Super-packets of the TUN, inbound: TCP segments of one flow that arrived in one burst are joined
// and written as one packet with a virtio header, so that the kernel's stack is entered once for
// up to 64 KiB (the mirror of tun_offload.h; rules as the kernel's own GRO has them).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::client::tunnel {

/// Takes what the coalescer made: the virtio header, then the packet in pieces.
class SuperPacketSink {
 public:
  virtual ~SuperPacketSink() = default;
  virtual void write(std::span<const iovec> pieces) = 0;
};

/// Joins the packets of one burst. The order within a flow stays; a segment whose TCP checksum is
/// wrong is never joined, so that a broken segment reaches the stack as it is and dies there.
class Coalescer {
 public:
  Coalescer();

  /// Takes one sound IP packet (inner_family() != kNone), whose memory stays until flush() and is
  /// changed by it.
  void add(std::span<uint8_t> packet);
  /// Writes everything, in the order of each super-packet's first segment, and forgets it.
  void flush(SuperPacketSink& sink);

 private:
  /// One packet, or a run of segments.
  struct Item {
    std::span<uint8_t> first;
    std::vector<iovec> more;  ///< payloads of the segments after the first
    size_t transport = 0;     ///< offset of the TCP header; 0: not TCP, never joined
    size_t headers = 0;
    size_t segment_bytes = 0;  ///< payload of the first segment
    size_t total_bytes = 0;    ///< of the whole super-packet
    uint32_t next_sequence = 0;
    uint8_t last_flags = 0;
    bool open = false;          ///< may still take a segment
    bool first_proven = false;  ///< the first segment's checksum was found right
  };

  static Item parse(std::span<uint8_t> packet);
  Item* open_item_of_flow(const Item& segment);
  bool join(Item& item, const Item& segment);
  void write_item(Item& item, SuperPacketSink& sink);

  std::vector<Item> items_;  ///< reused, so that a steady state allocates nothing
  size_t used_ = 0;
  std::vector<iovec> out_;
};

}  // namespace jvpn::client::tunnel
