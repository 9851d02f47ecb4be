#include "tools/client/attendant/name_lookup.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace jvpn::client::attendant {
namespace {

constexpr int kServerPatienceMs = 1'000;  // c-ares doubles it at each try
constexpr int kTries = 2;
constexpr size_t kMostAddresses = 16;  // of one name
constexpr size_t kMostSockets = 16;    // c-ares keeps one or two for each name server

/// c-ares tells which of its sockets wait for what.
class WatchedSockets {
 public:
  static void note(void* into, ares_socket_t socket, int readable, int writable) {
    auto& all = static_cast<WatchedSockets*>(into)->all_;
    std::erase_if(all, [socket](const pollfd& each) { return each.fd == socket; });
    const auto events =
        static_cast<short>((readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0));
    if (events != 0) all.push_back({socket, events, 0});
  }
  std::span<const pollfd> all() const { return all_; }

 private:
  std::vector<pollfd> all_;
};

struct DestroyChannel {
  void operator()(ares_channel channel) const { ares_destroy(channel); }
};
using Channel = std::unique_ptr<std::remove_pointer_t<ares_channel>, DestroyChannel>;

struct FreeAddresses {
  void operator()(ares_addrinfo* all) const { ares_freeaddrinfo(all); }
};

std::optional<IpAddress> address_of(const sockaddr* from) {
  IpAddress address;
  if (from->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from, sizeof v4);
    address.family = Family::kIpv4;
    std::memcpy(address.bytes.data(), &v4.sin_addr, 4);
    return address;
  }
  if (from->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, from, sizeof v6);
  address.family = Family::kIpv6;
  std::memcpy(address.bytes.data(), &v6.sin6_addr, 16);
  return address;
}

/// c-ares calls it once for each name, at the latest when the channel goes.
void on_answer(void* into, int status, int, ares_addrinfo* raw) {
  const std::unique_ptr<ares_addrinfo, FreeAddresses> answer(raw);
  Lookup& lookup = *static_cast<Lookup*>(into);
  if (status != ARES_SUCCESS || !answer) {
    lookup.why = status == ARES_ECANCELLED || status == ARES_EDESTRUCTION
                     ? "no name server has answered"
                     : ares_strerror(status);
    return;
  }
  for (const ares_addrinfo_node* node = answer->nodes; node != nullptr; node = node->ai_next)
    if (const auto address = address_of(node->ai_addr);
        address && lookup.addresses.size() < kMostAddresses)
      lookup.addresses.push_back(*address);
  auto& found = lookup.addresses;
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.empty()) lookup.why = "the name has no address";
}

int set_mark(ares_socket_t socket, int, void* mark) {
  return setsockopt(socket, SOL_SOCKET, SO_MARK, mark, sizeof(uint32_t)) == 0 ? 0 : -1;
}

/// Waits for one of the channel's sockets, or for its next deadline. False: `hung_up` says that
/// nobody wants the answer.
bool serve(ares_channel channel, const WatchedSockets& sockets, int hung_up,
           std::chrono::milliseconds left) {
  std::array<pollfd, kMostSockets + 1> watched{};
  watched[0] = {hung_up, POLLRDHUP, 0};  // the client closes its half first
  const auto all = sockets.all().first(std::min(sockets.all().size(), kMostSockets));
  std::ranges::copy(all, watched.begin() + 1);
  const nfds_t count = all.size() + 1;
  timeval longest{left.count() / 1'000, (left.count() % 1'000) * 1'000};
  timeval room{};
  const timeval* const next = ares_timeout(channel, &longest, &room);
  const auto wait = static_cast<int>(next->tv_sec * 1'000 + next->tv_usec / 1'000 + 1);
  if (poll(watched.data(), count, wait) <= 0)
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  if ((watched[0].revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0) return false;
  for (nfds_t i = 1; i < count; ++i) {
    const short got = watched[i].revents;
    const bool broken = (got & (POLLERR | POLLHUP)) != 0;
    if (got == 0) continue;
    ares_process_fd(channel, (got & POLLIN) != 0 || broken ? watched[i].fd : ARES_SOCKET_BAD,
                    (got & POLLOUT) != 0 ? watched[i].fd : ARES_SOCKET_BAD);
  }
  return true;
}

Channel open_channel(const std::string& servers_file, WatchedSockets& sockets) {
  ares_options options{};
  options.timeout = kServerPatienceMs;
  options.tries = kTries;
  std::string path = servers_file;
  options.resolvconf_path = path.data();
  options.sock_state_cb = WatchedSockets::note;
  options.sock_state_cb_data = &sockets;
  ares_channel raw = nullptr;
  const int done = ares_init_options(
      &raw, &options,
      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB);
  return Channel(done == ARES_SUCCESS ? raw : nullptr);
}

}  // namespace

std::vector<Lookup> look_up(std::span<const NamedEndpoint> names, std::optional<uint32_t> mark,
                            const std::string& servers_file, int hung_up) {
  std::vector<Lookup> found(names.size());
  WatchedSockets sockets;  // the channel's, to its end
  Channel channel = open_channel(servers_file, sockets);
  if (!channel) {
    for (Lookup& each : found) each.why = servers_file + " can't be used";
    return found;
  }
  uint32_t own = mark.value_or(0);
  if (mark) ares_set_socket_configure_callback(channel.get(), set_mark, &own);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = ARES_AI_NOSORT;  // sorting would connect sockets without our mark
  for (size_t n = 0; n < names.size(); ++n)
    ares_getaddrinfo(channel.get(), names[n].host.c_str(), nullptr, &hints, on_answer, &found[n]);
  const auto until = std::chrono::steady_clock::now() + kLookupPatience;
  const auto answered = [](const Lookup& each) {
    return !each.why.empty() || !each.addresses.empty();
  };
  while (!std::ranges::all_of(found, answered)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !serve(channel.get(), sockets, hung_up, left)) break;
  }
  channel.reset();  // answers what is still open
  return found;
}

}  // namespace jvpn::client::attendant
