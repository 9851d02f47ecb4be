#include "tools/client/attendant/name_lookup.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

namespace jvpn::client::attendant {
namespace {

constexpr int kServerPatienceMs = 1'000;  // c-ares doubles it at each try
constexpr int kTries = 2;
constexpr size_t kMostAddresses = 16;  // of one name

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

/// Waits for one of the channel's sockets, or for its next deadline. False: nothing is left to wait
/// for, or `hung_up` says that nobody wants the answer.
bool serve(ares_channel channel, int hung_up, std::chrono::milliseconds left) {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const int wanted = ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM);
  if (wanted == 0) return false;
  std::array<pollfd, ARES_GETSOCK_MAXNUM + 1> watched{};
  watched[0] = {hung_up, POLLRDHUP, 0};  // the client closes its half first
  nfds_t count = 1;
  for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    const auto bits = static_cast<unsigned>(wanted);
    const bool readable = ARES_GETSOCK_READABLE(bits, i) != 0;
    const bool writable = ARES_GETSOCK_WRITABLE(bits, i) != 0;
    if (!readable && !writable) continue;
    watched[count++] = {sockets[i],
                        static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), 0};
  }
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

Channel open_channel(const std::string& servers_file) {
  ares_options options{};
  options.timeout = kServerPatienceMs;
  options.tries = kTries;
  std::string path = servers_file;
  options.resolvconf_path = path.data();
  ares_channel raw = nullptr;
  const int done =
      ares_init_options(&raw, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF);
  return Channel(done == ARES_SUCCESS ? raw : nullptr);
}

}  // namespace

std::vector<Lookup> look_up(std::span<const NamedEndpoint> names, std::optional<uint32_t> mark,
                            const std::string& servers_file, int hung_up) {
  std::vector<Lookup> found(names.size());
  Channel channel = open_channel(servers_file);
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
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !serve(channel.get(), hung_up, left)) break;
  }
  channel.reset();  // answers what is still open
  return found;
}

}  // namespace jvpn::client::attendant
