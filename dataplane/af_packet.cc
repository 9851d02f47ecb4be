// DPDK 22.11's AF_PACKET driver joins its sockets to a fanout group that has the kernel reassemble
// IPv4 fragments first (PACKET_FANOUT_FLAG_DEFRAG), and has no argument against it. What comes of a
// ping of 2000 bytes fits neither the frames of its ring nor a packet buffer: it was cut, and
// dropped as `truncated`. So this program's setsockopt(), which the driver calls, leaves that flag
// out. Without it the kernel still hands all fragments of a packet to one queue.
#include "dataplane/af_packet.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <cstring>
#include <string_view>

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace jvpn {
namespace {

constexpr int kDefragment = PACKET_FANOUT_FLAG_DEFRAG << 16;

constexpr uint32_t kDefaultFrame = 2'048;  // DFLT_FRAME_SIZE of the driver
/// Before a frame's bytes in the ring, as the kernel lays it out for TPACKET_V2; and a VLAN tag.
constexpr uint32_t kRingHeader = 66 + 14 + 4;
constexpr uint32_t kRingPage = 4'096;

std::atomic<bool> keeps_apart{false};

uint32_t frame_bytes(const std::string& vdev) {
  constexpr std::string_view kArgument = ",framesz=";
  const size_t at = vdev.find(kArgument);
  uint32_t bytes = kDefaultFrame;
  if (at != std::string::npos)
    std::from_chars(vdev.data() + at + kArgument.size(), vdev.data() + vdev.size(), bytes);
  return bytes;
}

}  // namespace

uint32_t af_packet_mtu(const std::string& vdev) {
  const uint32_t frame = frame_bytes(vdev);
  return frame > kRingHeader ? frame - kRingHeader : 0;
}

std::string af_packet_arguments(uint32_t mtu) {
  const uint32_t frame = std::bit_ceil(mtu + kRingHeader);
  return "framesz=" + std::to_string(frame) +
         ",blocksz=" + std::to_string(std::max(frame, kRingPage));
}

uint32_t af_packet_room(const std::string& vdev) {
  return frame_bytes(vdev);
}

void keep_fragments_apart() {
  keeps_apart = true;
}

}  // namespace jvpn

extern "C" int setsockopt(int socket, int level, int name, const void* value,
                          socklen_t bytes) noexcept {
  int fanout = 0;
  if (jvpn::keeps_apart && level == SOL_PACKET && name == PACKET_FANOUT && bytes == sizeof fanout) {
    std::memcpy(&fanout, value, sizeof fanout);
    fanout &= ~jvpn::kDefragment;
    value = &fanout;
  }
  return static_cast<int>(syscall(SYS_setsockopt, socket, level, name, value, bytes));
}
