#include "control/events/collector_sink.h"

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace jvpn::events {
namespace {

constexpr int kDialWaitMs = 100;
constexpr int kLooks = 16;
constexpr unsigned kUnacknowledgedMs = 10'000;  // then the connection counts as broken

using Address = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

/// Nothing is looked up: it is a number already.
Address address_of(const Endpoint& endpoint, int kind) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = kind;
  addrinfo* found = nullptr;
  const std::string host = to_string(endpoint.address);
  if (getaddrinfo(host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found) != 0)
    found = nullptr;
  return {found, freeaddrinfo};
}

}  // namespace

/// What is sent to an end that has closed its connection arrives nowhere, and nobody says so.
bool CollectorSink::is_closed() const {
  if (socket_ < 0 || dialling_ || to_.protocol != CollectorProtocol::kTcp) return false;
  std::array<char, 256> said;  // nothing that it could say is for us
  for (int looks = 0; looks < kLooks; ++looks) {
    const ssize_t got = recv(socket_, said.data(), said.size(), MSG_DONTWAIT);
    if (got <= 0) return got == 0;
  }
  return true;  // it talks and talks: no collector
}

Wrote CollectorSink::write(std::string_view line) {
  if (is_closed()) shut();
  if (socket_ < 0 || dialling_) {
    const Wrote dialled = socket_ < 0 ? dial() : connected();
    if (dialled != Wrote::kAll) return dialled;
  }
  line.remove_suffix(1);
  const std::string message = to_syslog_message(line, sender_);
  if (to_.protocol == CollectorProtocol::kUdp) {
    pollfd one{socket_, POLLOUT, 0};
    if (poll(&one, 1, kDialWaitMs) <= 0) return Wrote::kBusy;
    const ssize_t sent = send(socket_, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return Wrote::kAll;
    if (errno == EAGAIN || errno == EINTR) return Wrote::kBusy;
  } else {
    const Wrote wrote = send_line(socket_, fmt::format("{} {}", message.size(), message), true);
    if (wrote != Wrote::kFailed) return wrote;
    errno = error();
  }
  const int why = errno;
  shut();
  return failed(why);
}

Wrote CollectorSink::dial() {
  const int kind = to_.protocol == CollectorProtocol::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  const Address address = address_of(to_.endpoint, kind);
  if (address == nullptr) return failed(ENOMEM);
  socket_ = socket(address->ai_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return failed(errno);
  if (kind == SOCK_STREAM)
    setsockopt(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs,
               sizeof kUnacknowledgedMs);
  if (connect(socket_, address->ai_addr, address->ai_addrlen) == 0) return Wrote::kAll;
  if (errno == EINPROGRESS) {
    dialling_ = true;
    return connected();
  }
  const int why = errno;
  shut();
  return failed(why);
}

/// Waits for the other end's answer, a little.
Wrote CollectorSink::connected() {
  pollfd one{socket_, POLLOUT, 0};
  if (poll(&one, 1, kDialWaitMs) <= 0) return Wrote::kBusy;
  int why = 0;
  socklen_t length = sizeof why;
  getsockopt(socket_, SOL_SOCKET, SO_ERROR, &why, &length);
  dialling_ = false;
  if (why == 0) return Wrote::kAll;
  shut();
  return failed(why);
}

void CollectorSink::shut() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  dialling_ = false;
  sent_ = 0;
}

}  // namespace jvpn::events
