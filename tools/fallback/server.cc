#include "tools/fallback/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "control/session/system_sources.h"
#include "tools/shared/socket_address.h"

namespace jvpn::fallback {
namespace {

constexpr int kEvents = 64;
constexpr int kAcceptsPerTurn = 32;
constexpr int kBacklog = 256;
constexpr Millis kSweep{1'000};
constexpr Millis kReport{60'000};
constexpr size_t kReadBytes = 2 * (kLengthBytes + kMostDatagram);
constexpr unsigned kDeadAfterMs = 30'000;  // what is sent and never acknowledged

// Tags: the signals', the listeners', and two of each slot.
constexpr uint64_t kSignals = 0;
constexpr uint64_t kListeners = 1;
constexpr uint64_t kFirstSlot = 64;

void set(int fd, int level, int option, int value) {
  (void)::setsockopt(fd, level, option, &value, sizeof value);
}

int family_of(const Endpoint& endpoint) {
  return endpoint.address.is_v4() ? AF_INET : AF_INET6;
}

}  // namespace

Server::Server(Options options, Credentials credentials)
    : options_(std::move(options)),
      credentials_(std::move(credentials)),
      links_(options_.connections),
      writes_(options_.connections),
      quota_(options_.per_network),
      scratch_(kMostDatagram + 1) {
  free_.reserve(options_.connections);
  for (size_t slot = options_.connections; slot > 0; --slot) free_.push_back(slot - 1);
}

Result<std::unique_ptr<Server>> Server::create(Options options, Credentials credentials) {
  std::unique_ptr<Server> server(new Server(std::move(options), std::move(credentials)));
  server->epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!server->epoll_) return errno_error("epoll");
  for (const Endpoint& local : server->options_.listen)
    if (auto listens = server->listen_at(local); !listens) return listens.error();
  if (const auto way = server->open_gateway(); !way) return way.error();
  return server;
}

Result<void> Server::listen_at(const Endpoint& local) {
  const std::string place = "--listen " + to_string(local);
  FileDescriptor fd(
      ::socket(family_of(local), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd) return errno_error(place);
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (!local.address.is_v4()) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SocketAddress address = SocketAddress::from(local, 0);
  if (::bind(fd.get(), &address.any, address.length) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return Error{fmt::format(
        "{}: expected an address of this host's whose port is free (under 1024: root, or "
        "CAP_NET_BIND_SERVICE): {}",
        place, std::strerror(errno))};
  if (auto watched = watch(fd.get(), kListeners + listeners_.size()); !watched) return watched;
  listeners_.push_back(std::move(fd));
  return {};
}

Result<void> Server::watch(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("epoll_ctl");
  return {};
}

Result<FileDescriptor> Server::open_gateway() const {
  const std::string place = "--gateway " + to_string(options_.gateway);
  FileDescriptor fd(
      ::socket(family_of(options_.gateway), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(place);
  // Nothing is fragmented: probes of the session find what the way to the gateway takes.
  if (options_.gateway.address.is_v4())
    set(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  else
    set(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  const SocketAddress address = SocketAddress::from(options_.gateway, 0);
  if (::connect(fd.get(), &address.any, address.length) != 0)
    return Error{
        fmt::format("{}: expected jvpnd's outside address, to which this host has a route: {}",
                    place, std::strerror(errno))};
  return fd;
}

Result<void> Server::run(int signal_fd) {
  signals_ = signal_fd;
  if (auto watched = watch(signals_, kSignals); !watched) return watched;
  sweep_due_ = report_due_ = session::boottime_now();
  while (!stopping_) {
    const bool idle = free_.size() == links_.size();
    std::array<epoll_event, kEvents> events;
    const int wait = idle && counters_ == reported_ ? -1 : static_cast<int>(kSweep.value);
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEvents, wait);
    const Millis now = session::boottime_now();
    for (int i = 0; i < count; ++i) serve(events[static_cast<size_t>(i)].data.u64, now);
    sweep(now);
    for (const size_t slot : ended_) remove(slot);
    ended_.clear();
    report(now);
  }
  spdlog::info("stopped: {}", to_string(counters_));
  return {};
}

void Server::serve(uint64_t tag, Millis now) {
  if (tag == kSignals) return take_signal();
  if (tag < kFirstSlot) return accept_all(listeners_[tag - kListeners].get());
  const size_t slot = (tag - kFirstSlot) / 2;
  Link* const link = links_[slot].get();
  if (link == nullptr || link->ended()) return;
  if (tag % 2 == 0)
    link->serve_client(now, counters_);
  else
    link->serve_gateway(scratch_, counters_);
  follow(slot);
}

/// Watches for what it waits for, or has it removed.
void Server::follow(size_t slot) {
  const Link& link = *links_[slot];
  if (link.ended()) return ended_.push_back(slot);
  if (link.wants_write() == writes_[slot]) return;
  writes_[slot] = link.wants_write();
  epoll_event event{};
  event.events = writes_[slot] ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = kFirstSlot + 2 * slot;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, link.tcp(), &event);
}

void Server::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGHUP)
    reload();
  else
    stopping_ = true;
}

/// Connections go on with what they have seen.
void Server::reload() {
  auto fresh = load_credentials(options_.certificate_file, options_.key_file);
  if (!fresh) return spdlog::error("{}; the former certificate stays", fresh.error().message);
  credentials_ = std::move(fresh).value();
  spdlog::info("certificate and key are read anew, public key sha256 {}", credentials_.public_key);
  if (!credentials_.warning.empty()) spdlog::warn("{}", credentials_.warning);
}

void Server::accept_all(int listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    SocketAddress address;
    FileDescriptor socket(
        ::accept4(listener, &address.any, &address.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    accept_one(std::move(socket), address.endpoint());
  }
}

void Server::accept_one(FileDescriptor socket, const Endpoint& client) {
  if (free_.empty()) {
    ++counters_.refused_full;
    return;
  }
  const Prefix network = network_of(client.address);
  if (!rate_.take(session::boottime_now(), network)) {
    ++counters_.refused_rate;
    return;
  }
  if (!quota_.take(network)) {
    ++counters_.refused_network;
    return;
  }
  auto gateway = open_gateway();
  const size_t slot = free_.back();
  const bool watched = gateway && watch(socket.get(), kFirstSlot + 2 * slot) &&
                       watch(gateway->get(), kFirstSlot + 2 * slot + 1);
  if (!watched) {
    quota_.give_back(network);
    ++counters_.refused_full;
    return;
  }
  free_.pop_back();
  tune_tcp(socket.get(), kDeadAfterMs);
  ++counters_.accepted;
  writes_[slot] = false;
  links_[slot] = std::make_unique<Link>(
      TlsStream(*credentials_.context, std::move(socket), TlsStream::Role::kServer,
                {kReadBytes, options_.queue_bytes}),
      std::move(gateway).value(), client, network, session::boottime_now());
}

void Server::sweep(Millis now) {
  if (now < sweep_due_) return;
  sweep_due_ = now + kSweep;
  for (size_t slot = 0; slot < links_.size(); ++slot) {
    if (!links_[slot] || links_[slot]->ended()) continue;
    links_[slot]->check_time(now, options_, counters_);
    if (links_[slot]->ended()) ended_.push_back(slot);
  }
}

void Server::remove(size_t slot) {
  const Link& link = *links_[slot];
  // Whoever only knocks can't fill the log; it is counted.
  spdlog::log(link.proven() ? spdlog::level::info : spdlog::level::debug, "{}: {}",
              to_string(link.client()), link.why());
  quota_.give_back(link.network());
  links_[slot].reset();
  free_.push_back(slot);
}

void Server::report(Millis now) {
  if (now < report_due_ || counters_ == reported_) return;
  report_due_ = now + kReport;
  reported_ = counters_;
  spdlog::info("{} connections: {}", links_.size() - free_.size(), to_string(counters_));
}

}  // namespace jvpn::fallback
