// A UDP socket bound to one device, with everything that makes it fast: segmentation offload both
// ways (udp(7): UDP_SEGMENT, UDP_GRO), many datagrams a call, large buffers, DF set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/file_descriptor.h"
#include "common/ip.h"
#include "common/result.h"
#include "tools/shared/socket_address.h"

namespace jvpn::client::underlays {

/// Largest run of equal packets that goes into one UDP_SEGMENT call.
inline constexpr size_t kGsoMaxSegments = 64;
inline constexpr size_t kGsoMaxBytes = 65'000;

/// Neighbouring packets of one size (the last may be shorter): one call to the kernel.
struct SegmentRun {
  size_t first = 0;  ///< number of its first packet
  size_t count = 0;
  size_t segment_bytes = 0;
  size_t bytes = 0;
};
/// The longest run at the front of `packets`, which is not empty.
SegmentRun next_run(std::span<const std::span<uint8_t>> packets, bool offload);

/// Room for one receive call. Reused; a socket fills it, its datagrams stay until the next call.
class ReceiveBatch {
 public:
  static constexpr size_t kMessages = 64;
  static constexpr size_t kMessageBytes = 65'536;
  /// Messages of one call while they bring whole runs: half a megabyte stays in the cache.
  static constexpr size_t kRunMessages = 8;

  struct Datagram {
    std::span<uint8_t> payload;
    size_t message = 0;
  };
  ReceiveBatch();
  std::span<const Datagram> datagrams() const { return datagrams_; }
  Endpoint remote(const Datagram& datagram) const {
    return addresses_[datagram.message].endpoint();
  }
  /// For what comes by a stream: empty, and what add() adds is from there. The bytes are not
  /// copied.
  void begin(const Endpoint& remote) {
    datagrams_.clear();
    addresses_[0] = SocketAddress::from(remote, 0);
  }
  void add(std::span<uint8_t> payload) { datagrams_.push_back({payload, 0}); }

 private:
  friend class UdpSocket;
  // Not a power of two apart, or all messages would compete for the same cache sets.
  static constexpr size_t kStride = kMessageBytes + size_t{5} * 64;
  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  };
  size_t prepare();
  void cut(size_t message, size_t bytes, size_t segment_bytes);

  std::vector<uint8_t> buffer_;
  std::vector<mmsghdr> headers_;
  std::vector<iovec> vectors_;
  std::vector<SocketAddress> addresses_;
  std::vector<Control> controls_;
  std::vector<Datagram> datagrams_;
  bool runs_ = false;  ///< the latest call brought several datagrams in a message
};

class UdpSocket {
 public:
  struct Options {
    std::string device;
    Family family = Family::kIpv4;
    std::optional<IpAddress> source;
    std::optional<uint32_t> mark;  ///< SO_MARK
    uint16_t port = 0;             ///< local; 0: any free one
  };
  /// Fails when the device is not there, or without CAP_NET_RAW and CAP_NET_ADMIN.
  static Result<UdpSocket> open(const Options& options);

  int fd() const { return fd_.get(); }
  uint16_t local_port() const { return local_port_; }
  /// Whole runs go to the kernel in one piece; false once it showed that it can't cut them.
  bool segments() const { return segments_; }

  /// What became of packets handed to send().
  struct Sent {
    size_t taken = 0;    ///< from the front; the rest would block
    size_t too_big = 0;  ///< of those taken: over the device's MTU
    size_t failed = 0;   ///< of those taken: refused for another reason
  };
  /// Never blocks. Packets are neighbours in memory wherever they are of one size.
  Sent send(const SocketAddress& remote, std::span<const std::span<uint8_t>> packets);
  /// Never blocks; takes as many datagrams as one call brings. Returns how many more came cut short
  /// and were left out.
  size_t receive(ReceiveBatch& batch);

 private:
  UdpSocket() = default;
  FileDescriptor fd_;
  uint16_t local_port_ = 0;
  bool segments_ = true;
};

/// Our address on the way to a remote, as a connected throw-away socket has it.
Result<IpAddress> local_address_to(const UdpSocket::Options& options, const Endpoint& remote);

}  // namespace jvpn::client::underlays
