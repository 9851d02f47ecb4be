// A client of a program's stream socket, for tests that turn the server by hand.
#pragma once

#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace jvpn::test {

inline sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

/// A connection that never blocks. The caller closes it.
inline int dial(const std::string& path) {
  const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_un to = unix_address(path);
  EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return client;
}

inline void send_text(int client, const std::string& text) {
  EXPECT_EQ(send(client, text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

}  // namespace jvpn::test
