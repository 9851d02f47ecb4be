#include "perf/jvpn_perf/probe_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "perf/jvpn_perf/net_namespace.h"

namespace jvpn::perf {
namespace {

constexpr size_t kBatch = 64;
// The kernel notes when each packet came, so the receiver may look rarely: it costs the lab less.
constexpr timespec kLook{0, 4 * kMillisecond};
constexpr int kReceiveBuffer = 4 << 20;

Error failure(const ProbeOptions& options, const char* what) {
  return Error{fmt::format("probe stream to {}:{}: {}: {}", options.address, options.port, what,
                           std::strerror(errno))};
}

sockaddr_in address_of(const ProbeOptions& options) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  ::inet_pton(AF_INET, options.address.c_str(), &address.sin_addr);
  return address;
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
  Nanos arrival(size_t i) {
    const cmsghdr* control = CMSG_FIRSTHDR(&headers[i].msg_hdr);
    if (control == nullptr || control->cmsg_type != SCM_TIMESTAMPNS) return wall_clock();
    timespec time;
    std::memcpy(&time, CMSG_DATA(control), sizeof time);
    return to_nanos(time);
  }
};

}  // namespace

Result<std::unique_ptr<ProbeStream>> ProbeStream::start(const ProbeOptions& options) {
  std::unique_ptr<ProbeStream> stream(new ProbeStream(options));
  if (auto opened = stream->open(); !opened) return opened.error();
  stream->receiver_ = std::thread([raw = stream.get()] { raw->receive_all(); });
  stream->sender_ = std::thread([raw = stream.get()] { raw->send_all(); });
  return stream;
}

ProbeStream::~ProbeStream() {
  stop_sending();
  stop_receiving_ = true;
  if (receiver_.joinable()) receiver_.join();
}

void ProbeStream::stop_sending() {
  stop_sending_ = true;
  if (sender_.joinable()) sender_.join();
}

Result<void> ProbeStream::open() {
  const sockaddr_in address = address_of(options_);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  auto done = in_namespace(options_.to, [&]() -> Result<void> {
    in_ = FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(in_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer);
    if (::setsockopt(in_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 ||
        ::bind(in_.get(), any, sizeof address) != 0)
      return failure(options_, "receiver");
    return {};
  });
  if (!done) return done;
  return in_namespace(options_.from, [&]() -> Result<void> {
    out_ = FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::connect(out_.get(), any, sizeof address) != 0) return failure(options_, "sender");
    return {};
  });
}

// Behind time it catches up at once: the rate holds, whatever the scheduler does.
void ProbeStream::send_all() {
  std::vector<uint8_t> payload(std::max<size_t>(options_.bytes, sizeof(uint64_t)));
  timespec next{};
  clock_gettime(CLOCK_MONOTONIC, &next);
  const long interval = static_cast<long>(kSecond / options_.rate);
  for (uint64_t number = 0; !stop_sending_; ++number) {
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

void ProbeStream::receive_all() {
  Batch batch;
  while (!stop_receiving_) {
    batch.prepare();
    const int got = ::recvmmsg(in_.get(), batch.headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got <= 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &kLook, nullptr);
    for (int i = 0; i < got; ++i) {
      const auto at = static_cast<size_t>(i);
      take(batch.numbers[at], batch.arrival(at));
    }
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
  Nanos latest = from;
  for (auto before = at; before != probes_.begin();)
    if ((--before)->arrived != 0) {
      latest = before->arrived;
      break;
    }
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
  const Nanos youngest = wall_clock() - age;
  auto at = std::ranges::upper_bound(probes_, youngest, {}, &Probe::sent);
  for (size_t left = count; left != 0; --left) {
    if (at == probes_.begin()) return false;
    --at;
    if (at->arrived == 0 || at->sent < since) return false;
  }
  return true;
}

uint64_t ProbeStream::sent() const {
  const std::lock_guard lock(mutex_);
  return probes_.size();
}

}  // namespace jvpn::perf
