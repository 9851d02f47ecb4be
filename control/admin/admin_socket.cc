#include "control/admin/admin_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/assert.h"

namespace jvpn::admin {
namespace {

Error failure(const std::string& path, const std::string& what) {
  return {"admin.socket: " + path + ": " + what};
}

Error system_failure(const std::string& path, const char* call) {
  return failure(path, std::string(call) + ": " + std::strerror(errno));
}

int unix_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

bool somebody_listens(const sockaddr_un& address) {
  const int probe = unix_socket();
  if (probe < 0) return false;
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool refused = result != 0 && (errno == ECONNREFUSED || errno == ENOENT);
  close(probe);
  return !refused;
}

/// Makes the socket's folder when only that one is missing. True when it did.
bool make_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return !folder.empty() && mkdir(folder.c_str(), 0755) == 0;
}

/// Removes what a program that crashed left behind.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return failure(path, "expected a socket or nothing, got another file; remove or rename it");
  if (somebody_listens(address))
    return failure(path, "another program listens there; end it or set another path");
  if (unlink(path.c_str()) != 0) return system_failure(path, "unlink");
  return {};
}

bool watch(int epoll, int operation, int descriptor, uint32_t events) {
  epoll_event event{};
  event.events = events;
  return epoll_ctl(epoll, operation, descriptor, &event) == 0;
}

/// Both directions are closed: nobody reads what is written.
bool hung_up(int descriptor) {
  pollfd one{descriptor, 0, 0};
  return poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

/// Foreign bytes in a name must not end the program: dump() would throw on invalid UTF-8.
std::string line_of(const nlohmann::json& answer) {
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string error_line(const std::string& what) {
  return nlohmann::json{{"error", what}}.dump() + "\n";
}

}  // namespace

std::string not_answered(const std::string& program, const std::string& command,
                         const std::string& answers) {
  const std::string what = program + " answers " + answers;
  if (command == "jump")
    return "jump: a client chooses its path, a gateway can't: ask jvpn-client's socket "
           "(--socket /run/jvpn/client.sock); " +
           what;
  if (command == "terminate")
    return "terminate: an order for jvpnd, which has several peers; a client ends its session by "
           "ending (SIGTERM); " +
           what;
  if (command == "drain") return "drain: an order for jvpnd, which has others' sessions; " + what;
  if (command == "routes")
    return "routes: a question for jvpnd, which has others' sessions; " + what;
  if (command == "peer" || command == "peers" || command == "enrol")
    return command + ": for jvpnd, which has several peers; " + what;
  return (command.empty() ? "command: expected one" : "command: got " + command) + "; " + what;
}

Result<std::unique_ptr<AdminSocket>> AdminSocket::open(const std::string& path, Handler handler,
                                                       LineSource* source) {
  std::unique_ptr<AdminSocket> admin(new AdminSocket(path, std::move(handler), source));
  if (auto listening = admin->listen_on_path(); !listening) return listening.error();
  return admin;
}

AdminSocket::AdminSocket(std::string path, Handler handler, LineSource* source)
    : path_(std::move(path)), handler_(std::move(handler)), source_(source) {}

AdminSocket::~AdminSocket() {
  for (auto& client : clients_) close_client(*client);
  if (listener_ >= 0) close(listener_);
  if (epoll_ >= 0) close(epoll_);
  if (bound_) unlink(path_.c_str());
  if (made_folder_) rmdir(std::filesystem::path(path_).parent_path().c_str());
}

Result<void> AdminSocket::listen_on_path() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof address.sun_path)
    return failure(
        path_, "expected a path of 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes");
  path_.copy(address.sun_path, path_.size());
  if (auto removed = remove_stale(path_, address); !removed) return removed;
  made_folder_ = make_folder(path_);

  listener_ = unix_socket();
  if (listener_ < 0) return system_failure(path_, "socket");
  // The mode of the socket before bind() is the file's from its first moment.
  if (fchmod(listener_, 0600) != 0) return system_failure(path_, "fchmod");
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return system_failure(path_, "bind");
  bound_ = true;
  if (chmod(path_.c_str(), 0600) != 0) return system_failure(path_, "chmod");
  if (listen(listener_, static_cast<int>(kMaxClients)) != 0) return system_failure(path_, "listen");
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0 || !watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN))
    return system_failure(path_, "epoll");
  if (source_ != nullptr && !watch(epoll_, EPOLL_CTL_ADD, source_->descriptor(), EPOLLIN))
    return system_failure(path_, "epoll");
  return {};
}

void AdminSocket::poll(Millis now) {
  accept_clients(now);
  answered_ = false;
  if (source_ != nullptr) source_->drain();
  std::erase_if(clients_, [&](const std::unique_ptr<Client>& client) {
    if (serve(*client, now)) return false;
    close_client(*client);
    return true;
  });
  const auto follows = [](const std::unique_ptr<Client>& each) { return each->of_source; };
  if (source_ != nullptr) source_->set_followed(std::ranges::any_of(clients_, follows));
}

void AdminSocket::accept_clients(Millis now) {
  while (clients_.size() < kMaxClients) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    if (!watch(epoll_, EPOLL_CTL_ADD, descriptor, EPOLLIN)) {
      close(descriptor);
      continue;
    }
    auto client = std::make_unique<Client>();
    client->descriptor = descriptor;
    client->since = now;
    clients_.push_back(std::move(client));
    JVPN_ASSERT(clients_.size() <= kMaxClients, "the loop's condition");
  }
}

/// False: done with this client.
bool AdminSocket::serve(Client& client, Millis now) {
  if (client.stream) return serve_stream(client);
  const bool asks = client.reply.empty() && !client.later;
  if (asks && !answered_ && !read_request(client)) return false;
  if (client.stream) return serve_stream(client);
  if (client.later && !ask_later(client)) {
    client.since = now;
    return !hung_up(client.descriptor);
  }
  if (!client.reply.empty() && !write_reply(client)) return false;
  return now - client.since < kClientTimeout;
}

/// A slow client's lines wait in the kernel and in its buffer; beyond that the stream itself skips.
bool AdminSocket::serve_stream(Client& client) {
  if (hung_up(client.descriptor)) return false;
  client.reply.erase(0, std::exchange(client.sent, 0));
  const auto more = client.stream->read(client.reply, kStreamBuffer);
  if (!client.reply.empty() && !write_reply(client)) {
    if (client.sent < client.reply.size() || more == LineStream::More::kNoMore) return false;
  }
  const bool hungry = client.sent < client.reply.size() || more == LineStream::More::kNow;
  if (hungry != std::exchange(client.hungry, hungry))
    watch(epoll_, EPOLL_CTL_MOD, client.descriptor, hungry ? uint32_t{EPOLLOUT} : 0U);
  return hungry || more != LineStream::More::kNoMore;
}

bool AdminSocket::read_request(Client& client) {
  std::array<char, kMaxRequestBytes> bytes;
  const ssize_t got = recv(client.descriptor, bytes.data(), bytes.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  client.request.append(bytes.data(), static_cast<size_t>(got));
  const size_t end = client.request.find('\n');
  const bool too_long = std::min(end, client.request.size()) > kMaxRequestBytes;
  if (end == std::string::npos && got > 0 && !too_long) return true;
  if (end == std::string::npos && client.request.empty()) return false;
  if (too_long)
    client.reply =
        error_line("expected a request of at most " + std::to_string(kMaxRequestBytes) + " bytes");
  else
    answer(client, client.request.substr(0, end));
  watch(epoll_, EPOLL_CTL_MOD, client.descriptor, client.later ? 0U : uint32_t{EPOLLOUT});
  return true;
}

/// False: all of it is written, or the client went away.
bool AdminSocket::write_reply(Client& client) {
  JVPN_ASSERT(client.sent < client.reply.size(), "there is something left to send");
  const ssize_t wrote = ::send(client.descriptor, client.reply.data() + client.sent,
                               client.reply.size() - client.sent, MSG_NOSIGNAL);
  if (wrote < 0) return errno == EAGAIN || errno == EINTR;
  client.sent += static_cast<size_t>(wrote);
  return client.sent < client.reply.size();
}

void AdminSocket::answer(Client& client, const std::string& line) {
  answered_ = true;
  const auto request = nlohmann::json::parse(line, nullptr, false);
  if (!request.is_object()) {
    client.reply = error_line("expected one line with a JSON object");
    return;
  }
  if (source_ != nullptr) client.stream = source_->open(request);
  if (client.stream) {
    client.of_source = true;
    return begin_stream(client);
  }
  Answer answer = handler_(request);
  if (auto* stream = std::get_if<std::unique_ptr<LineStream>>(&answer)) {
    client.stream = std::move(*stream);
    begin_stream(client);
  } else if (auto* later = std::get_if<LaterAnswer>(&answer)) {
    client.later = std::move(*later);
  } else {
    client.reply = line_of(std::get<nlohmann::json>(answer));
  }
}

void AdminSocket::begin_stream(Client& client) {
  if (streams_ < kMaxStreams) {
    ++streams_;
    return;
  }
  client.stream.reset();
  client.of_source = false;
  client.reply =
      error_line("expected at most " + std::to_string(kMaxStreams) + " followers at once");
}

/// False: the answer isn't there yet.
bool AdminSocket::ask_later(Client& client) {
  const auto answer = client.later();
  if (!answer) return false;
  client.later = nullptr;
  client.reply = line_of(*answer);
  watch(epoll_, EPOLL_CTL_MOD, client.descriptor, EPOLLOUT);
  return true;
}

void AdminSocket::close_client(Client& client) {
  close(client.descriptor);
  client.descriptor = -1;
  if (!client.stream) return;
  JVPN_ASSERT(streams_ > 0, "streams_ counts the clients that have one");
  --streams_;
}

}  // namespace jvpn::admin
