#include "tools/client/underlays/tcp_link.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tools/shared/socket_address.h"

namespace jvpn::client::underlays {
namespace {

using fallback::TlsStream;
using fallback::Urgency;

constexpr TlsStream::Bounds kBounds{131'072, 131'072};
constexpr unsigned kDeadAfterMs = 15'000;  // the session's own signs of life find it sooner

/// A TCP socket as the underlay's UDP sockets are: of that device, marked, from that source.
Result<FileDescriptor> open_tcp(const UdpSocket::Options& from) {
  const int family = from.family == Family::kIpv6 ? AF_INET6 : AF_INET;
  FileDescriptor fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd) return errno_error("no TCP socket");
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, from.device.c_str(),
                   static_cast<socklen_t>(from.device.size() + 1)) != 0)
    return errno_error("cannot bind a TCP socket to it");
  const int mark = static_cast<int>(from.mark.value_or(0));
  if (from.mark && ::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
    return errno_error("cannot mark a TCP socket");
  if (from.source) {
    const SocketAddress local =
        SocketAddress::from({*from.source, 0}, ::if_nametoindex(from.device.c_str()));
    if (::bind(fd.get(), &local.any, local.length) != 0)
      return errno_error("cannot use the source address " + to_string(*from.source));
  }
  fallback::tune_tcp(fd.get(), kDeadAfterMs);
  return fd;
}

Endpoint local_end(int fd) {
  SocketAddress local;
  if (::getsockname(fd, &local.any, &local.length) != 0) return {};
  return local.endpoint();
}

/// nullopt: not yet; 0: it is; else the error.
std::optional<int> connect_result(int fd) {
  pollfd ready{fd, POLLOUT, 0};
  if (::poll(&ready, 1, 0) <= 0) return std::nullopt;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

}  // namespace

std::string TcpLink::place() const {
  return fmt::format("TCP to {} by device {}", remote_ ? to_string(*remote_) : "nowhere", device_);
}

Millis TcpLink::deadline() const {
  return state_ == State::kDialing ? deadline_ : kNever;
}

void TcpLink::hang_up() {
  stream_.reset();
  state_ = State::kIdle;
  why_.clear();
}

void TcpLink::fail(const std::string& why) {
  if (stream_) stream_->end(why);  // its datagrams may be in use
  state_ = State::kFailed;
  why_ = place() + ": " + why;
}

void TcpLink::release() {
  if (state_ == State::kFailed) stream_.reset();
}

void TcpLink::dial(const UdpSocket::Options& from, const Endpoint& remote, Millis deadline) {
  hang_up();
  ++dials_;
  device_ = from.device;
  remote_ = remote;
  deadline_ = deadline;
  connected_ = false;
  auto socket = open_tcp(from);
  if (!socket) return fail(socket.error().message);
  const SocketAddress to = SocketAddress::from(remote, ::if_nametoindex(from.device.c_str()));
  if (::connect(socket->get(), &to.any, to.length) != 0 && errno != EINPROGRESS)
    return fail(std::strerror(errno));
  state_ = State::kDialing;
  stream_ =
      std::make_unique<TlsStream>(trust_->connect(std::move(socket).value(), remote, kBounds));
}

void TcpLink::advance(Millis now) {
  if (state_ == State::kDialing && !connected_) {
    const auto result = connect_result(stream_->fd());
    if (result == ECONNREFUSED)
      return fail("refused: jvpn-fallback is expected to listen there (its --listen)");
    if (result && *result != 0) return fail(std::strerror(*result));
    connected_ = result.has_value();
  }
  if (state_ == State::kFailed) return;
  if (stream_ && connected_) {
    stream_->advance();
    follow_stream();
  }
  if (state_ == State::kDialing && now >= deadline_)
    fail(connected_ ? "no TLS handshake in time: what answers is no jvpn-fallback, or something on "
                      "the way swallows TLS"
                    : "no answer in time: the address is wrong, or a firewall drops TCP there");
}

/// What has become of it.
void TcpLink::follow_stream() {
  switch (stream_->phase()) {
    case TlsStream::Phase::kHandshake:
      return;
    case TlsStream::Phase::kOpen:
      if (state_ == State::kDialing) open_when_trusted();
      return;
    case TlsStream::Phase::kEnded:
      break;
  }
  std::string why = stream_->why();
  if (state_ == State::kDialing) {
    const std::string mend = trust_->mend(stream_->ssl());
    why += mend.empty() ? ": something on the way refuses it, or the server does (see the log of "
                          "jvpn-fallback)"
                        : ": " + mend;
  }
  fail(why);
}

void TcpLink::open_when_trusted() {
  if (const auto why = trust_->refuse(stream_->ssl())) return fail(*why);
  local_ = local_end(stream_->fd());
  state_ = State::kUp;
}

UdpSocket::Sent TcpLink::send(std::span<const std::span<uint8_t>> packets) {
  UdpSocket::Sent sent;
  if (state_ != State::kUp) {
    sent.taken = sent.failed = packets.size();
    return sent;
  }
  bool full = false;
  while (sent.taken < packets.size() && state_ == State::kUp) {
    const auto packet = packets[sent.taken];
    if (!fallback::is_datagram_length(packet.size())) {
      ++sent.taken;
      ++sent.too_big;
    } else if (stream_->queue(packet, Urgency::kData)) {
      ++sent.taken;
      full = false;
    } else if (full) {
      return sent;  // and nothing has left since
    } else {
      full = true;
      stream_->advance();
      follow_stream();
    }
  }
  if (state_ == State::kUp) {
    stream_->advance();
    follow_stream();
  }
  return sent;
}

bool TcpLink::send_control(std::span<const uint8_t> message) {
  if (state_ != State::kUp || !stream_->queue(message, Urgency::kControl)) return false;
  stream_->advance();
  follow_stream();
  return true;
}

void TcpLink::receive(ReceiveBatch& batch) {
  batch.begin(*remote_);
  if (state_ != State::kUp) return;
  while (batch.datagrams().empty() && stream_->read())
    while (const auto datagram = stream_->next()) batch.add(*datagram);
  // Its end is looked at by advance(): the datagrams lie in its buffer.
}

}  // namespace jvpn::client::underlays
