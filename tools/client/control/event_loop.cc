#include "tools/client/control/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

namespace jvpn::client::control {
namespace {

constexpr uint64_t kTimerTag = UINT64_MAX;
constexpr int kEvents = 32;

uint32_t epoll_mask(bool readable, bool writable) {
  return (readable ? uint32_t{EPOLLIN} : 0U) | (writable ? uint32_t{EPOLLOUT} : 0U);
}

}  // namespace

Result<EventLoop> EventLoop::create() {
  EventLoop loop;
  loop.epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop.epoll_) return errno_error("epoll");
  loop.timer_ = FileDescriptor(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!loop.timer_) return errno_error("timerfd");
  if (const auto added = loop.add(loop.timer_.get(), kTimerTag); !added) return added.error();
  return loop;
}

Result<void> EventLoop::add(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST)
    return errno_error("epoll_ctl");
  return {};
}

void EventLoop::change(int fd, uint64_t tag, bool readable, bool writable) {
  epoll_event event{};
  event.events = epoll_mask(readable, writable);
  event.data.u64 = tag;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::arm(Millis deadline) {
  if (deadline == armed_) return;
  itimerspec spec{};
  if (deadline != kNever) {
    // Zero would disarm the timer.
    const uint64_t at = std::max<uint64_t>(deadline.value, 1);
    spec.it_value.tv_sec = static_cast<time_t>(at / 1'000);
    spec.it_value.tv_nsec = static_cast<long>(at % 1'000 * 1'000'000);
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
  armed_ = deadline;
}

std::span<const EventLoop::Ready> EventLoop::wait(Millis deadline) {
  arm(deadline);
  std::array<epoll_event, kEvents> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEvents, -1);
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == kTimerTag) {
      uint64_t expirations;
      if (::read(timer_.get(), &expirations, sizeof expirations) < 0) continue;
      armed_ = kNever;
      continue;
    }
    ready_.push_back({event.data.u64, (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0,
                      (event.events & EPOLLOUT) != 0});
  }
  return ready_;
}

}  // namespace jvpn::client::control
