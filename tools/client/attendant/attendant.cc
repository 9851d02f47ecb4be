#include "tools/client/attendant/attendant.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/client/attendant/dns_settings.h"
#include "tools/client/attendant/name_lookup.h"
#include "tools/client/tunnel/kill_switch.h"
#include "tools/shared/sandbox/capabilities.h"

namespace jvpn::client::attendant {
namespace {

constexpr int kGoodbyeMs = 5'000;
constexpr size_t kLongestAnswer = size_t{32} * 1'024;  // 16 names of 16 addresses, and reasons
constexpr int kFirstOther = 4;                         // below: the standard streams and the socket

enum class What : uint32_t { kSetDns = 1, kLookUp = 2, kOpenHost = 3 };
struct Order {
  What what{};
  uint32_t mark = 0;  ///< 0: none
};

/// `D`, and what is in the way.
std::string answer_to_set_dns(const Duty& duty) {
  const auto done = set_dns(duty.interface, duty.dns);
  return "D" + (done ? std::string() : done.error().message);
}

/// `L`, then a line for each address, `N ADDRESS`, and for each name without one, `N !WHY`.
std::string answer_to_look_up(const Duty& duty, uint32_t mark, int hung_up) {
  const auto found = attendant::look_up(duty.names, mark == 0 ? std::nullopt : std::optional(mark),
                                        own_servers_file(duty.interface), hung_up);
  std::string text = "L";
  for (size_t n = 0; n < found.size(); ++n) {
    for (const IpAddress& address : found[n].addresses)
      text += std::to_string(n) + ' ' + to_string(address) + '\n';
    if (found[n].addresses.empty()) text += std::to_string(n) + " !" + found[n].why + '\n';
  }
  return text;
}

void serve(const Duty& duty, int socket) {
  for (;;) {
    Order order;
    const ssize_t bytes = recv(socket, &order, sizeof order, 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes != sizeof order) return;  // the client has ended
    std::string answer;
    if (order.what == What::kSetDns) answer = answer_to_set_dns(duty);
    if (order.what == What::kLookUp) answer = answer_to_look_up(duty, order.mark, socket);
    if (order.what == What::kOpenHost)
      if (const auto opened = tunnel::remove_kill_switch(duty.interface); !opened)
        std::fprintf(stderr, "jvpn-client: %s\n", opened.error().message.c_str());
    answer.resize(std::min(answer.size(), kLongestAnswer));
    if (!answer.empty()) (void)send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
}

/// What the attendant's own process does.
[[noreturn]] void attend(const Duty& duty, int socket, bool confined) {
  // It ends with the client, after it.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  (void)prctl(PR_SET_NAME, "jvpn-attendant");
  if (socket != kFirstOther - 1) dup3(socket, kFirstOther - 1, O_CLOEXEC);
  (void)close_range(kFirstOther, ~0U, 0);
  if (confined) {
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    // The right to change a device's name servers, and to mark what it sends.
    if (const auto kept = sandbox::keep_only({CAP_NET_ADMIN}); !kept) {
      std::fprintf(stderr, "jvpn-client: its attendant keeps capabilities: %s\n",
                   kept.error().message.c_str());
      _exit(1);
    }
  }
  serve(duty, kFirstOther - 1);
  if (const auto undone = unset_dns(duty.interface); !undone)
    std::fprintf(stderr, "jvpn-client: the host's name servers are not set back: %s\n",
                 undone.error().message.c_str());
  _exit(0);
}

/// Of one line of an answer; false: it isn't one.
bool take_line(const std::string& line, size_t names, News& news) {
  const size_t space = line.find(' ');
  size_t n = names;
  if (space == std::string::npos) return false;
  std::from_chars(line.data(), line.data() + space, n);
  const std::string_view what = std::string_view(line).substr(space + 1);
  if (n >= names || what.empty()) return false;
  if (what.front() == '!') {
    news.failures[n] = what.substr(1);
    return true;
  }
  const auto address = IpAddress::parse(what);
  if (address) news.addresses[n].push_back(*address);
  return address.has_value();
}

}  // namespace

Result<std::unique_ptr<Attendant>> Attendant::start(const Duty& duty, bool confined) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return errno_error("socketpair");
  FileDescriptor ours(ends[0]);
  const FileDescriptor theirs(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    ours.reset();
    attend(duty, theirs.get(), confined);
  }
  std::unique_ptr<Attendant> attendant(new Attendant(std::move(ours)));
  attendant->names_ = duty.names.size();
  return attendant;
}

Attendant::~Attendant() {
  if (shutdown(socket_.get(), SHUT_WR) != 0) return;
  pollfd gone{socket_.get(), POLLIN, 0};
  // An outcome that nobody waits for any more may come before its end.
  while (poll(&gone, 1, kGoodbyeMs) > 0) {
    char ignored = 0;
    if (recv(socket_.get(), &ignored, 1, MSG_DONTWAIT) <= 0) return;
  }
}

void Attendant::set_dns() {
  const Order order{What::kSetDns};
  (void)send(socket_.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Attendant::look_up(std::optional<uint32_t> mark) {
  const Order order{What::kLookUp, mark.value_or(0)};
  (void)send(socket_.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Attendant::open_host() {
  const Order order{What::kOpenHost};
  (void)send(socket_.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::optional<News> Attendant::take() {
  std::string text(kLongestAnswer, '\0');
  const ssize_t bytes = recv(socket_.get(), text.data(), text.size(), MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  News news;
  news.ended = bytes <= 0;
  if (news.ended) return news;
  text.resize(static_cast<size_t>(bytes));
  if (text.front() == 'D') {
    news.dns = text.substr(1);
    return news;
  }
  news.addresses.resize(names_);
  news.failures.resize(names_);
  std::istringstream lines(text.substr(1));
  for (std::string line; std::getline(lines, line);)
    if (!take_line(line, names_, news)) break;
  return news;
}

}  // namespace jvpn::client::attendant
