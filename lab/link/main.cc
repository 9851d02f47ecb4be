// lab-link IF_A IF_B: a wire between two interfaces, with faults and with somebody on it. One
// thread: frames from A pass the Attacker, wait in one DelayQueue and leave by B, and the other way
// round. A unix datagram socket takes a text of settings (empty: none) and answers `ok`, the
// settings and the counters, or `error: …`; or `attack ORDER` (attacker.h); nothing else changes.
//
//   IF_A ── AF_PACKET ── Attacker ── DelayQueue a→b ── AF_PACKET ── IF_B
//                   └────────┴────── DelayQueue b→a ───────┘
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "lab/link/attacker.h"
#include "lab/link/delay_queue.h"

namespace jvpn::lab {
namespace {

constexpr size_t kQueueBytes = 64 << 20;
constexpr int kSocketBuffer = 16 << 20;
constexpr std::string_view kAttack = "attack ";
constexpr int kBurst =
    64;  // frames from one side before the other one and the timer have their turn
#ifndef PACKET_IGNORE_OUTGOING
constexpr int PACKET_IGNORE_OUTGOING = 23;
#endif

struct Options {
  std::array<std::string, 2> interfaces;
  std::string socket;
  uint16_t port = wire::kDefaultPort;
  uint64_t seed = 1;
  LinkFaults faults;
};

Nanos monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Nanos>(now.tv_sec) * 1'000'000'000 + static_cast<Nanos>(now.tv_nsec);
}

// All frames that come in by the interface, whomever they are for.
Result<FileDescriptor> open_interface(const std::string& name) {
  // Protocol 0: nothing arrives before the socket is bound to its interface.
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = address.sll_ifindex;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  const int on = 1;
  if (!fd || address.sll_ifindex == 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer) !=
          0 ||
      ::setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
      ::setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) !=
          0 ||
      ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return errno_error(name);
  return fd;
}

Result<FileDescriptor> open_control(const std::string& path) {
  FileDescriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{path + ": too long for a socket's name"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(path.c_str());
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return errno_error(path);
  return fd;
}

class LabLink {
 public:
  explicit LabLink(const Options& options)
      : queues_{DelayQueue(options.seed, kQueueBytes), DelayQueue(options.seed + 1, kQueueBytes)},
        attacker_(options.interfaces, options.port) {
    for (DelayQueue& queue : queues_) queue.set(options.faults);
  }

  Result<void> open(const Options& options) {
    epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    timer_ = FileDescriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!epoll_ || !timer_) return errno_error("epoll, timerfd");
    for (size_t side = 0; side < 2; ++side) {
      auto opened = open_interface(options.interfaces[side]);
      if (!opened) return opened.error();
      interfaces_[side] = std::move(opened).value();
      if (auto done = watch(interfaces_[side]); !done) return done;
    }
    if (!options.socket.empty()) {
      auto opened = open_control(options.socket);
      if (!opened) return opened.error();
      control_ = std::move(opened).value();
      if (auto done = watch(control_); !done) return done;
    }
    return watch(timer_);
  }

  // Until a signal ends the program.
  [[noreturn]] void run() {
    while (true) {
      std::array<epoll_event, 4> ready;
      ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), -1);
      uint64_t expirations;
      [[maybe_unused]] const auto cleared = ::read(timer_.get(), &expirations, sizeof expirations);
      for (size_t side = 0; side < 2; ++side) receive(side);
      for (size_t side = 0; side < 2; ++side) send(side);
      if (control_) answer();
      arm();
    }
  }

 private:
  Result<void> watch(const FileDescriptor& fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd.get()}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
      return errno_error("epoll");
    return {};
  }

  // queues_[side] holds what came in by interfaces_[side].
  void receive(size_t side) {
    for (int i = 0; i < kBurst; ++i) {
      const auto bytes = ::recv(interfaces_[side].get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
      if (bytes < 0) return;  // none left; or the interface is down: then it is a cut wire
      if (static_cast<size_t>(bytes) > buffer_.size()) continue;
      attacker_.pass(1 - side, {buffer_.data(), static_cast<size_t>(bytes)}, leave_);
    }
  }

  void leave(size_t to, std::span<const uint8_t> frame, Nanos delay) {
    DelayQueue& queue = queues_[1 - to];
    if (delay == 0) return queue.push(frame, monotonic_now());
    queue.hold(frame, monotonic_now() + delay);
  }

  void send(size_t side) {
    const Nanos now = monotonic_now();
    while (const auto frame = queues_[side].pop(now))
      if (::send(interfaces_[1 - side].get(), frame->data(), frame->size(), 0) < 0)
        ++refused_[side];
  }

  void arm() {
    const Nanos due = std::min(queues_[0].due(), queues_[1].due());
    if (due == armed_) return;
    itimerspec timer{};
    if (due != kNever) {
      timer.it_value.tv_sec = static_cast<time_t>(due / 1'000'000'000);
      timer.it_value.tv_nsec = static_cast<long>(due % 1'000'000'000);
    }
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &timer, nullptr);
    armed_ = due;
  }

  void answer() {
    std::array<char, 512> text;
    sockaddr_un asker{};
    socklen_t length = sizeof asker;
    const auto bytes = ::recvfrom(control_.get(), text.data(), text.size(), 0,
                                  reinterpret_cast<sockaddr*>(&asker), &length);
    if (bytes < 0) return;
    const std::string reply = change({text.data(), static_cast<size_t>(bytes)});
    ::sendto(control_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&asker),
             length);
  }

  std::string change(std::string_view text) {
    if (text.starts_with(kAttack)) {
      const auto done = attacker_.order(text.substr(kAttack.size()), leave_);
      return done ? "ok " + *done + "\n" : "error: " + done.error().message + "\n";
    }
    const auto faults = changed_faults(queues_[0].faults(), text);
    if (!faults) return "error: " + faults.error().message + "\n";
    for (DelayQueue& queue : queues_) queue.set(*faults);
    return fmt::format("ok {}\na>b {}\nb>a {}\n", to_text(*faults), counters(0), counters(1));
  }

  std::string counters(size_t side) const {
    const LinkCounters& c = queues_[side].counters();
    return fmt::format("in={} out={} lost={} overflow={} held_back={} duplicated={} refused={}",
                       c.in, c.out, c.lost, c.overflow, c.held_back, c.duplicated, refused_[side]);
  }

  std::array<DelayQueue, 2> queues_;
  Attacker attacker_;
  const Attacker::Leave leave_ = [this](size_t to, std::span<const uint8_t> frame, Nanos delay) {
    leave(to, frame, delay);
  };
  std::array<FileDescriptor, 2> interfaces_;
  std::array<uint64_t, 2> refused_{};  // by the kernel: interface down, or its queue full
  std::array<uint8_t, 65'536> buffer_{};
  FileDescriptor epoll_;
  FileDescriptor timer_;
  FileDescriptor control_;
  Nanos armed_ = kNever;
};

std::string option_name(std::string name) {
  for (char& c : name)
    if (c == '_') c = '-';
  return "--" + name;
}

int run(const Options& options) {
  static LabLink link(options);
  if (const auto opened = link.open(options); !opened) {
    std::fprintf(stderr, "lab-link: %s\n", opened.error().message.c_str());
    return 1;
  }
  std::printf("seed %llu, %s\n", static_cast<unsigned long long>(options.seed),
              to_text(options.faults).c_str());
  std::fflush(stdout);
  link.run();
}

}  // namespace
}  // namespace jvpn::lab

int main(int argc, char** argv) try {
  CLI::App app("A wire with faults between two network interfaces, until SIGTERM.");
  jvpn::lab::Options options;
  app.add_option("IF_A", options.interfaces[0])->required();
  app.add_option("IF_B", options.interfaces[1])->required();
  app.add_option("--seed", options.seed, "of everything random");
  app.add_option("--port", options.port, "UDP port of the tunnel, for attacks");
  app.add_option("--socket", options.socket, "unix datagram socket that takes new settings");
  for (const auto& setting : jvpn::lab::kFaultSettings)
    app.add_option(jvpn::lab::option_name(setting.name), options.faults.*(setting.value))
        ->check(CLI::Range(0.0, setting.most));
  CLI11_PARSE(app, argc, argv);
  return jvpn::lab::run(options);
} catch (const std::exception& error) {
  std::fprintf(stderr, "lab-link: %s\n", error.what());
  return 1;
}
