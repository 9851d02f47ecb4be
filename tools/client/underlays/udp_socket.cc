#include "tools/client/underlays/udp_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <netinet/udp.h>

namespace jvpn::client::underlays {
namespace {

constexpr int kSocketBuffer = 8 << 20;
constexpr size_t kRunsPerCall = 32;
#ifndef UDP_SEGMENT
constexpr int UDP_SEGMENT = 103;
#endif
#ifndef UDP_GRO
constexpr int UDP_GRO = 104;
#endif

bool set(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Error failure(const UdpSocket::Options& options, const std::string& what) {
  return errno_error("device " + options.device + ": " + what);
}

// A socket of the options' family, tied to their device and marked; not bound to an address. It
// doesn't fragment and doesn't believe ICMP: what a path takes is found by probes (RFC 8899), and
// what the device doesn't take is refused.
Result<FileDescriptor> open_on_device(const UdpSocket::Options& options) {
  const int family = options.family == Family::kIpv6 ? AF_INET6 : AF_INET;
  FileDescriptor fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failure(options, "no UDP socket");
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, options.device.c_str(),
                   static_cast<socklen_t>(options.device.size() + 1)) != 0)
    return failure(options, "cannot bind a socket to it");
  if (options.mark && !set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(*options.mark)))
    return failure(options, "cannot mark a socket");
  if (family == AF_INET6) {
    set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  } else {
    set(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  }
  return fd;
}

Result<void> bind_source(const FileDescriptor& fd, const UdpSocket::Options& options) {
  Endpoint any{{options.family, {}}, options.port};
  if (options.source) any.address = *options.source;
  const SocketAddress local = SocketAddress::from(any, ::if_nametoindex(options.device.c_str()));
  if (::bind(fd.get(), &local.any, local.length) != 0)
    return failure(options, "cannot use the source address " + to_string(any.address));
  return {};
}

// EMSGSIZE, or EINVAL before Linux 6.14: the run's packets are over the device's MTU.
bool offload_refused(int error) {
  return error == EIO || error == EINVAL || error == EOPNOTSUPP || error == EMSGSIZE;
}

/// Arguments of one sendmmsg.
struct SendCall {
  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  };
  std::array<mmsghdr, kRunsPerCall> headers;
  std::array<iovec, kRunsPerCall> vectors;
  std::array<Control, kRunsPerCall> controls;
  std::array<SegmentRun, kRunsPerCall> runs;
  unsigned count = 0;

  void add(const SegmentRun& run, uint8_t* data, const SocketAddress& remote) {
    vectors[count] = {data, run.bytes};
    headers[count] = {};
    msghdr& header = headers[count].msg_hdr;
    header.msg_name = const_cast<sockaddr*>(&remote.any);
    header.msg_namelen = remote.length;
    header.msg_iov = &vectors[count];
    header.msg_iovlen = 1;
    if (run.count > 1) {
      header.msg_control = controls[count].bytes;
      header.msg_controllen = sizeof controls[count].bytes;
      cmsghdr* const control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto segment = static_cast<uint16_t>(run.segment_bytes);
      std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
    }
    runs[count++] = run;
  }
};

}  // namespace

SegmentRun next_run(std::span<const std::span<uint8_t>> packets, bool offload) {
  SegmentRun run{0, 1, packets[0].size(), packets[0].size()};
  while (offload && run.count < std::min(packets.size(), kGsoMaxSegments)) {
    const auto& next = packets[run.count];
    if (next.data() != packets[0].data() + run.bytes || next.size() > run.segment_bytes ||
        run.bytes + next.size() > kGsoMaxBytes)
      break;
    run.bytes += next.size();
    ++run.count;
    if (next.size() < run.segment_bytes) break;  // only the last may be shorter
  }
  return run;
}

ReceiveBatch::ReceiveBatch()
    : buffer_(kMessages * kStride),
      headers_(kMessages),
      vectors_(kMessages),
      addresses_(kMessages),
      controls_(kMessages) {
  datagrams_.reserve(kMessages * kGsoMaxSegments);
}

size_t ReceiveBatch::prepare() {
  datagrams_.clear();
  const size_t messages = runs_ ? kRunMessages : kMessages;
  for (size_t i = 0; i < messages; ++i) {
    vectors_[i] = {buffer_.data() + i * kStride, kMessageBytes};
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &addresses_[i].any;
    header.msg_namelen = sizeof(sockaddr_in6);
    header.msg_iov = &vectors_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_[i].bytes;
    header.msg_controllen = sizeof controls_[i].bytes;
  }
  return messages;
}

void ReceiveBatch::cut(size_t message, size_t bytes, size_t segment_bytes) {
  uint8_t* const data = buffer_.data() + message * kStride;
  if (segment_bytes == 0) segment_bytes = bytes;
  for (size_t at = 0; at < bytes; at += segment_bytes)
    datagrams_.push_back({{data + at, std::min(segment_bytes, bytes - at)}, message});
}

Result<UdpSocket> UdpSocket::open(const Options& options) {
  auto fd = open_on_device(options);
  if (!fd) return fd.error();
  UdpSocket socket;
  socket.fd_ = std::move(fd).value();
  if (const auto bound = bind_source(socket.fd_, options); !bound) return bound.error();
  // Without CAP_NET_ADMIN the forced sizes are refused; the limits of the host then hold.
  if (!set(socket.fd(), SOL_SOCKET, SO_RCVBUFFORCE, kSocketBuffer))
    set(socket.fd(), SOL_SOCKET, SO_RCVBUF, kSocketBuffer);
  if (!set(socket.fd(), SOL_SOCKET, SO_SNDBUFFORCE, kSocketBuffer))
    set(socket.fd(), SOL_SOCKET, SO_SNDBUF, kSocketBuffer);
  set(socket.fd(), SOL_UDP, UDP_GRO, 1);
  SocketAddress local;
  if (::getsockname(socket.fd(), &local.any, &local.length) != 0)
    return failure(options, "socket without a name");
  socket.local_port_ = local.endpoint().port;
  return socket;
}

UdpSocket::Sent UdpSocket::send(const SocketAddress& remote,
                                std::span<const std::span<uint8_t>> packets) {
  Sent sent;
  bool whole = segments_;
  size_t refused = packets.size();  // the first packet of the refused run
  while (sent.taken < packets.size()) {
    const size_t first = sent.taken;
    SendCall call;
    for (size_t at = sent.taken; at < packets.size() && call.count < kRunsPerCall;
         at += call.runs[call.count - 1].count)
      call.add(next_run(packets.subspan(at), whole), packets[at].data(), remote);
    const int done = ::sendmmsg(fd(), call.headers.data(), call.count, MSG_DONTWAIT);
    for (int i = 0; i < done; ++i) sent.taken += call.runs[static_cast<size_t>(i)].count;
    // Alone it takes the very packet that it refused in a run: the run was the reason.
    if (done > 0 && first == refused) segments_ = false;
    if (done > 0 || (done < 0 && errno == EINTR)) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return sent;
    if (call.runs[0].count > 1 && offload_refused(errno)) {
      whole = false;  // the kernel can't, or its segments are over the device's MTU
      refused = first;
      continue;
    }
    (errno == EMSGSIZE ? sent.too_big : sent.failed) += call.runs[0].count;
    sent.taken += call.runs[0].count;
  }
  return sent;
}

size_t UdpSocket::receive(ReceiveBatch& batch) {
  size_t truncated = 0;
  const size_t messages = batch.prepare();
  int count;
  do {
    count = ::recvmmsg(fd(), batch.headers_.data(), static_cast<unsigned>(messages), MSG_DONTWAIT,
                       nullptr);
  } while (count < 0 && errno == EINTR);
  for (size_t i = 0; count > 0 && i < static_cast<size_t>(count); ++i) {
    msghdr& header = batch.headers_[i].msg_hdr;
    if (header.msg_flags & MSG_TRUNC) {
      ++truncated;
      continue;
    }
    int segment_bytes = 0;
    const cmsghdr* const control = CMSG_FIRSTHDR(&header);
    if (control != nullptr && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO)
      std::memcpy(&segment_bytes, CMSG_DATA(control), sizeof segment_bytes);
    batch.cut(i, batch.headers_[i].msg_len, static_cast<size_t>(std::max(segment_bytes, 0)));
  }
  batch.runs_ = count > 0 && batch.datagrams_.size() > static_cast<size_t>(count);
  return truncated;
}

Result<IpAddress> local_address_to(const UdpSocket::Options& options, const Endpoint& remote) {
  auto fd = open_on_device(options);
  if (!fd) return fd.error();
  if (const auto bound = bind_source(*fd, options); !bound) return bound.error();
  const SocketAddress to = SocketAddress::from(remote, ::if_nametoindex(options.device.c_str()));
  SocketAddress local;
  if (::connect(fd->get(), &to.any, to.length) != 0 ||
      ::getsockname(fd->get(), &local.any, &local.length) != 0)
    return failure(options, "no route to " + to_string(remote));
  return local.endpoint().address;
}

}  // namespace jvpn::client::underlays
