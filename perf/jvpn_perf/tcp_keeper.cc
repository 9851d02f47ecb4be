#include "perf/jvpn_perf/tcp_keeper.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "perf/jvpn_perf/net_namespace.h"

namespace jvpn::perf {
namespace {

constexpr int kIntervalMs = 10;
constexpr uint64_t kOutstanding = 64;  // few enough that no socket buffer is ever full
constexpr timeval kConnectLimit{5, 0};
using Message = std::array<uint64_t, 8>;

Error failure(const TcpOptions& options, const char* what) {
  return Error{fmt::format("TCP to {}:{}: {}: {}", options.address, options.port, what,
                           std::strerror(errno))};
}

}  // namespace

Result<std::unique_ptr<TcpKeeper>> TcpKeeper::start(const TcpOptions& options) {
  std::unique_ptr<TcpKeeper> keeper(new TcpKeeper(options));
  if (auto opened = keeper->open(); !opened) return opened.error();
  keeper->thread_ = std::thread([raw = keeper.get()] { raw->run(); });
  return keeper;
}

TcpKeeper::~TcpKeeper() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

Result<void> TcpKeeper::open() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  ::inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  const int on = 1;
  FileDescriptor listener;
  auto done = in_namespace(options_.to, [&]() -> Result<void> {
    listener = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(listener.get(), any, sizeof address) != 0 || ::listen(listener.get(), 1) != 0)
      return failure(options_, "listen");
    return {};
  });
  if (!done) return done;
  done = in_namespace(options_.from, [&]() -> Result<void> {
    near_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(near_.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectLimit, sizeof kConnectLimit);
    if (::connect(near_.get(), any, sizeof address) != 0) return failure(options_, "connect");
    return {};
  });
  if (!done) return done;
  far_ = FileDescriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!far_) return failure(options_, "accept");
  for (const FileDescriptor* end : {&near_, &far_})
    ::setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {};
}

void TcpKeeper::run() {
  while (!stop_ && !broken_) {
    std::array<pollfd, 2> wait{{{near_.get(), POLLIN, 0}, {far_.get(), POLLIN, 0}}};
    const int ready = ::poll(wait.data(), wait.size(), kIntervalMs);
    bool sound = true;
    if (ready == 0 && sent_ - echoed_ < kOutstanding) sound = send_next();
    if (wait[1].revents != 0) sound = echo() && sound;
    if (wait[0].revents != 0) sound = take_echoes() && sound;
    if (!sound) broken_ = true;
  }
}

bool TcpKeeper::send_next() {
  Message message;
  message.fill(sent_++);
  return ::send(near_.get(), message.data(), sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof message);
}

bool TcpKeeper::echo() {
  std::array<char, 4096> buffer;
  const ssize_t bytes = ::recv(far_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes < 0) return errno == EAGAIN || errno == EINTR;
  return bytes != 0 && ::send(far_.get(), buffer.data(), static_cast<size_t>(bytes),
                              MSG_DONTWAIT | MSG_NOSIGNAL) == bytes;
}

bool TcpKeeper::take_echoes() {
  std::array<char, 4096> buffer;
  const ssize_t bytes = ::recv(near_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes < 0) return errno == EAGAIN || errno == EINTR;
  if (bytes == 0) return false;
  pending_.append(buffer.data(), static_cast<size_t>(bytes));
  size_t at = 0;
  for (; pending_.size() - at >= sizeof(Message); at += sizeof(Message)) {
    Message expected;
    expected.fill(echoed_);
    if (std::memcmp(pending_.data() + at, expected.data(), sizeof expected) != 0) return false;
    ++echoed_;
  }
  pending_.erase(0, at);
  return true;
}

}  // namespace jvpn::perf
