#include "tools/jvpn/admin_client.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/printable.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

constexpr size_t kLargestReply = size_t{256} << 20;

FileDescriptor open_socket() {
  return FileDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

Error trouble(const std::string& path, std::string_view doing, int error) {
  const bool late = error == EAGAIN || error == EWOULDBLOCK;
  return Error{
      fmt::format("{} {}: {}", doing, path, late ? "no answer in time" : std::strerror(error))};
}

Error cannot_connect(const std::string& path, int error) {
  std::string_view mend =
      "is jvpnd or jvpn-client running there? A client's socket is --socket /run/jvpn/client.sock";
  if (error == EACCES || error == EPERM)
    mend = "only the user who runs the program may ask: try as root";
  return Error{fmt::format("can't connect to {}: {} ({})", path, std::strerror(error), mend)};
}

Result<void> send_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return trouble(path, "can't write to", errno);
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

Result<std::string> receive_all(int fd, const std::string& path) {
  std::string reply;
  std::array<char, 16'384> buffer;
  for (;;) {
    const ssize_t bytes = recv(fd, buffer.data(), buffer.size(), 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return trouble(path, "can't read from", errno);
    if (bytes == 0) return reply;
    reply.append(buffer.data(), static_cast<size_t>(bytes));
    if (reply.size() > kLargestReply) return trouble(path, "can't read from", EMSGSIZE);
  }
}

/// nullopt: a path that no socket can have.
std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  path.copy(address.sun_path, path.size());
  return address;
}

bool connects(int fd, const sockaddr_un& address) {
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// Connects and sends the request's line. Reads and writes wait for so long from here on.
Result<void> ask(int fd, const std::string& path, std::string_view request,
                 std::chrono::seconds patience = kPatience) {
  const auto address = address_of(path);
  if (!address) {
    return Error{fmt::format("--socket: expected a path of 1 to {} bytes, got {}",
                             sizeof sockaddr_un{}.sun_path - 1, path.size())};
  }
  const timeval longest{patience.count(), 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
  if (!connects(fd, *address)) return cannot_connect(path, errno);
  return send_all(fd, fmt::format("{}\n", request), path);
}

}  // namespace

bool is_listened_at(const std::string& socket_path) {
  const FileDescriptor connection = open_socket();
  const auto address = address_of(socket_path);
  if (!address || connects(connection.get(), *address)) return address.has_value();
  return errno != ENOENT && errno != ECONNREFUSED && errno != ENOTSOCK;
}

Result<std::string> ask_admin(const std::string& socket_path, std::string_view request,
                              std::chrono::seconds patience) {
  const FileDescriptor connection = open_socket();
  if (auto asked = ask(connection.get(), socket_path, request, patience); !asked)
    return asked.error();
  return receive_all(connection.get(), socket_path);
}

Result<void> follow_admin(Interrupt& interrupt, const std::string& socket_path,
                          std::string_view request,
                          const std::function<bool(std::string_view line)>& take,
                          std::optional<std::chrono::milliseconds> patience) {
  const FileDescriptor connection = open_socket();
  if (auto asked = ask(connection.get(), socket_path, request); !asked) return asked.error();
  std::string text;
  std::array<char, 16'384> buffer;
  for (;;) {
    const auto woken = interrupt.wait_for(connection.get(), patience);
    if (woken == Interrupt::Woken::kEnd) return {};
    if (woken == Interrupt::Woken::kLate)
      return Error{fmt::format("{} said nothing for {} ms", socket_path, patience->count())};
    const ssize_t bytes = recv(connection.get(), buffer.data(), buffer.size(), 0);
    if (bytes < 0) return trouble(socket_path, "can't read from", errno);
    if (bytes == 0) return Error{fmt::format("{} was closed by the other side", socket_path)};
    text.append(buffer.data(), static_cast<size_t>(bytes));
    size_t at = 0;
    for (size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      if (!take(std::string_view(text).substr(at, end - at))) return {};
    }
    text.erase(0, at);
  }
}

Result<nlohmann::json> ask_admin_json(const std::string& socket_path, const nlohmann::json& request,
                                      std::chrono::seconds patience) {
  const auto answer = ask_admin(socket_path, request.dump(), patience);
  if (!answer) return answer.error();
  nlohmann::json reply = nlohmann::json::parse(*answer, nullptr, false);
  if (!reply.is_object()) {
    return Error{fmt::format(
        "the answer from {} is no JSON object: is it the socket of jvpnd or jvpn-client?",
        socket_path)};
  }
  if (const auto error = reply.find("error"); error != reply.end() && error->is_string()) {
    return Error{printable_lines(error->get_ref<const std::string&>())};
  }
  return reply;
}

Result<nlohmann::json> ask_show(const std::string& socket_path) {
  auto all = ask_admin_json(socket_path, {{"command", "show"}});
  uint64_t from = 0;
  while (all && all->contains("next")) {
    const nlohmann::json next = std::exchange((*all)["next"], nullptr);
    all->erase("next");
    const bool onward = next.is_number_unsigned() && next.get<uint64_t>() > from;
    if (!onward) return Error{"the answer from " + socket_path + " doesn't come to an end"};
    from = next.get<uint64_t>();
    auto page = ask_admin_json(socket_path, {{"command", "show"}, {"from", from}});
    if (!page) return page;
    for (const char* list : {"sessions", "terminated"})
      for (nlohmann::json& each : (*page)[list]) (*all)[list].push_back(std::move(each));
    if (page->contains("next")) (*all)["next"] = (*page)["next"];
  }
  return all;
}

}  // namespace jvpn
