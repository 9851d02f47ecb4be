#include "perf/jump/traffic.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>

namespace jvpn::perf {
namespace {

constexpr size_t kBatch = 64;
// The kernel notes when each packet came, so the receiver may look rarely: it costs the lab less.
constexpr timespec kLook{0, 4 * kMillisecond};
constexpr int kReceiveBuffer = 4 << 20;

constexpr int kTcpIntervalMs = 10;
constexpr uint64_t kOutstanding = 64;  // few enough that no socket buffer is ever full
constexpr timeval kConnectLimit{5, 0};
using Message = std::array<uint64_t, 8>;

Error traffic_error(const TrafficEnds& ends, const char* what) {
  return errno_error(fmt::format("traffic to {}:{}: {}", ends.address, ends.port, what));
}

sockaddr_in address_of(const TrafficEnds& ends) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(ends.port);
  ::inet_pton(AF_INET, ends.address.c_str(), &address.sin_addr);
  return address;
}

FileDescriptor make_socket(int type) {
  return FileDescriptor(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
}

template <typename Value>
bool set_option(const FileDescriptor& socket, int level, int option, const Value& value) {
  return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

/// False: the connection is broken. Nothing yet is fine.
bool usable(ssize_t bytes) {
  return bytes > 0 || (bytes < 0 && (errno == EAGAIN || errno == EINTR));
}

/// Room for one receive call, with the kernel's timestamps.
struct Batch {
  struct alignas(cmsghdr) Control {
    std::array<uint8_t, CMSG_SPACE(sizeof(timespec))> bytes;
  };
  std::array<uint64_t, kBatch> numbers;
  std::array<iovec, kBatch> vectors;
  std::array<Control, kBatch> controls;
  std::array<mmsghdr, kBatch> headers{};

  void prepare() {
    for (size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {&numbers[i], sizeof numbers[i]};
      headers[i].msg_hdr = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_control = controls[i].bytes.data();
      headers[i].msg_hdr.msg_controllen = controls[i].bytes.size();
    }
  }
};

}  // namespace

Nanos arrival_of(const msghdr& header) {
  const cmsghdr* stamp = CMSG_FIRSTHDR(&header);
  if (stamp == nullptr || stamp->cmsg_type != SCM_TIMESTAMPNS) return wall_clock();
  timespec time;
  std::memcpy(&time, CMSG_DATA(stamp), sizeof time);
  return to_nanos(time);
}

Result<void> in_namespace(const std::string& name, const std::function<Result<void>()>& body) {
  Result<void> done;
  std::thread([&] {
    const std::string path = "/run/netns/" + name;
    const FileDescriptor ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!ns || ::setns(ns.get(), CLONE_NEWNET) != 0)
      done = errno_error(path);
    else
      done = body();
  }).join();
  return done;
}

Result<std::unique_ptr<ProbeStream>> ProbeStream::start(const TrafficEnds& ends, unsigned rate,
                                                        unsigned bytes) {
  std::unique_ptr<ProbeStream> stream(new ProbeStream(rate, bytes));
  if (auto opened = stream->open(ends); !opened) return opened.error();
  ProbeStream* raw = stream.get();
  raw->receiver_ = std::jthread([raw](const std::stop_token& stop) { raw->receive_all(stop); });
  raw->sender_ = std::jthread([raw](const std::stop_token& stop) { raw->send_all(stop); });
  return stream;
}

void ProbeStream::stop_sending() {
  sender_.request_stop();
  if (sender_.joinable()) sender_.join();
}

Result<void> ProbeStream::open(const TrafficEnds& ends) {
  const sockaddr_in address = address_of(ends);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  auto done = in_namespace(ends.to, [&]() -> Result<void> {
    in_ = make_socket(SOCK_DGRAM);
    set_option(in_, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer);
    if (!set_option(in_, SOL_SOCKET, SO_TIMESTAMPNS, 1) ||
        ::bind(in_.get(), any, sizeof address) != 0)
      return traffic_error(ends, "receiver");
    return {};
  });
  if (!done) return done;
  return in_namespace(ends.from, [&]() -> Result<void> {
    out_ = make_socket(SOCK_DGRAM);
    if (::connect(out_.get(), any, sizeof address) != 0) return traffic_error(ends, "sender");
    return {};
  });
}

// Behind time it catches up at once: the rate holds, whatever the scheduler does.
void ProbeStream::send_all(const std::stop_token& stop) {
  std::vector<uint8_t> payload(std::max<size_t>(bytes_, sizeof(uint64_t)));
  timespec next{};
  clock_gettime(CLOCK_MONOTONIC, &next);
  const long interval = static_cast<long>(kSecond / rate_);
  for (uint64_t number = 0; !stop.stop_requested(); ++number) {
    std::memcpy(payload.data(), &number, sizeof number);
    {
      const std::lock_guard lock(mutex_);
      probes_.push_back({wall_clock(), 0});
    }
    ::send(out_.get(), payload.data(), payload.size(), MSG_DONTWAIT);  // refused is lost
    next.tv_nsec += interval;
    if (next.tv_nsec >= kSecond) {
      next.tv_nsec -= kSecond;
      ++next.tv_sec;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
  }
}

void ProbeStream::receive_all(const std::stop_token& stop) {
  Batch batch;
  while (!stop.stop_requested()) {
    batch.prepare();
    const int got = ::recvmmsg(in_.get(), batch.headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got <= 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &kLook, nullptr);
    for (size_t i = 0; static_cast<int>(i) < got; ++i)
      take(batch.numbers[i], arrival_of(batch.headers[i].msg_hdr));
  }
}

void ProbeStream::take(uint64_t number, Nanos arrived) {
  const std::lock_guard lock(mutex_);
  if (number >= probes_.size()) return;
  Nanos& seen = probes_[number].arrived;
  if (seen != 0) ++duplicates_;
  if (seen == 0) seen = arrived;
}

Delivery ProbeStream::delivery(Nanos from, Nanos to) const {
  const std::lock_guard lock(mutex_);
  Delivery result;
  auto at = std::ranges::lower_bound(probes_, from, {}, &Probe::sent);
  const auto before = std::find_if(std::make_reverse_iterator(at), probes_.rend(),
                                   [](const Probe& probe) { return probe.arrived != 0; });
  Nanos latest = before == probes_.rend() ? from : before->arrived;
  for (; at != probes_.end() && at->sent < to; ++at) {
    ++result.offered;
    if (at->arrived == 0) {
      ++result.lost;
      if (result.first_lost == 0) result.first_lost = at->sent;
      result.last_lost = at->sent;
      continue;
    }
    result.longest_gap = std::max(result.longest_gap, at->arrived - latest);
    latest = std::max(latest, at->arrived);
  }
  return result;
}

bool ProbeStream::flows(size_t count, Nanos age, Nanos since) const {
  const std::lock_guard lock(mutex_);
  auto at = std::ranges::upper_bound(probes_, wall_clock() - age, {}, &Probe::sent);
  for (size_t left = count; left != 0; --left) {
    if (at == probes_.begin()) return false;
    --at;
    if (at->arrived == 0 || at->sent < since) return false;
  }
  return true;
}

Result<std::unique_ptr<TcpKeeper>> TcpKeeper::start(const TrafficEnds& ends) {
  auto keeper = std::make_unique<TcpKeeper>();
  if (auto opened = keeper->open(ends); !opened) return opened.error();
  TcpKeeper* raw = keeper.get();
  raw->thread_ = std::jthread([raw](const std::stop_token& stop) { raw->run(stop); });
  return keeper;
}

Result<void> TcpKeeper::open(const TrafficEnds& ends) {
  const sockaddr_in address = address_of(ends);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  FileDescriptor listener;
  auto done = in_namespace(ends.to, [&]() -> Result<void> {
    listener = make_socket(SOCK_STREAM);
    set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    if (::bind(listener.get(), any, sizeof address) != 0 || ::listen(listener.get(), 1) != 0)
      return traffic_error(ends, "listen");
    return {};
  });
  if (!done) return done;
  done = in_namespace(ends.from, [&]() -> Result<void> {
    near_ = make_socket(SOCK_STREAM);
    set_option(near_, SOL_SOCKET, SO_SNDTIMEO, kConnectLimit);
    if (::connect(near_.get(), any, sizeof address) != 0) return traffic_error(ends, "connect");
    return {};
  });
  if (!done) return done;
  far_ = FileDescriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!far_) return traffic_error(ends, "accept");
  for (const FileDescriptor* end : {&near_, &far_}) set_option(*end, IPPROTO_TCP, TCP_NODELAY, 1);
  return {};
}

void TcpKeeper::run(const std::stop_token& stop) {
  while (!stop.stop_requested() && !broken_) {
    std::array<pollfd, 2> wait{{{near_.get(), POLLIN, 0}, {far_.get(), POLLIN, 0}}};
    const int ready = ::poll(wait.data(), wait.size(), kTcpIntervalMs);
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
  if (bytes <= 0) return usable(bytes);
  return ::send(far_.get(), buffer.data(), static_cast<size_t>(bytes),
                MSG_DONTWAIT | MSG_NOSIGNAL) == bytes;
}

bool TcpKeeper::take_echoes() {
  std::array<char, 4096> buffer;
  const ssize_t bytes = ::recv(near_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes <= 0) return usable(bytes);
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
