// Super-packets of the TUN, outbound: one read brings up to 64 KiB of one TCP or UDP flow with a
// virtio header (virtio 1.2 §5.1.6); here it is cut into packets as they would have been sent
// without offload, checksums complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace jvpn::client::tunnel {

/// struct virtio_net_hdr as the TUN reads and writes it, native byte order.
struct VnetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t header_bytes = 0;  ///< a hint of the kernel; not trusted
  uint16_t gso_bytes = 0;     ///< payload of each packet but the last
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

inline constexpr uint8_t kVnetNeedsCsum = 1;
inline constexpr uint8_t kGsoNone = 0;
inline constexpr uint8_t kGsoTcp4 = 1;
inline constexpr uint8_t kGsoTcp6 = 4;
inline constexpr uint8_t kGsoUdp = 5;  ///< UDP_L4, either family
inline constexpr uint8_t kGsoEcn = 0x80;

/// Largest IP packet, and so the largest read from the TUN without its virtio header.
inline constexpr size_t kMaxSuperPacket = 65'535;

/// Takes finished packets.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  /// Room for one packet of exactly `bytes`, valid until the next call; nullptr: no room.
  virtual uint8_t* next(size_t bytes) = 0;
};

enum class SplitVerdict : uint8_t {
  kDone,
  kMalformed,  ///< header and packet contradict each other; the sink was not called
  kNoRoom,     ///< the sink refused a packet; those before it stand
};

/// Cuts one packet read from the TUN into what goes on the wire. Reads any header and any bytes
/// without fault: neither is trusted.
SplitVerdict split(const VnetHeader& header, std::span<const uint8_t> packet, PacketSink& sink);

/// What split() will make of a packet.
struct SplitPlan {
  size_t packets = 0;  ///< 0: malformed
  size_t largest = 0;  ///< bytes of the largest of them
  size_t bytes = 0;    ///< of all
};
SplitPlan plan_split(const VnetHeader& header, std::span<const uint8_t> packet);

}  // namespace jvpn::client::tunnel
