// A server on loopback that answers as a test says, however wrong that is.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/file_descriptor.h"

namespace jvpn::test {

/// Each connection has a thread. What the test asks may be asked from any thread.
class FakeHttp {
 public:
  /// One connection, in its thread.
  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    /// False: the client has gone.
    bool send(const std::string& text) const {
      size_t sent = 0;
      while (sent < text.size()) {
        const ssize_t bytes = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (bytes <= 0) return false;
        sent += static_cast<size_t>(bytes);
      }
      return true;
    }
    /// Answers with that body. True: it was sent.
    bool answer(const std::string& body) const {
      return send(
          fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
    }
    /// Until the client goes, or the server ends.
    void hold() const {
      std::array<char, 4096> buffer;
      while (recv(fd_, buffer.data(), buffer.size(), 0) > 0) continue;
    }
    /// The next request with its body; empty: the client has gone.
    std::string request() const {
      std::string text;
      size_t whole = std::string::npos;
      while (text.size() < whole) {
        std::array<char, 16'384> buffer;
        const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
        if (got <= 0) return {};
        text.append(buffer.data(), static_cast<size_t>(got));
        const size_t head = text.find("\r\n\r\n");
        const size_t length = text.find("Content-Length: ");
        if (head != std::string::npos && length != std::string::npos) {
          whole = head + 4 + std::stoul(text.substr(length + 16, 10));
        }
      }
      return text;
    }

   private:
    int fd_;
  };

  /// Called for each request; false: the connection is closed.
  using Script = std::function<bool(const Peer&, const std::string& request)>;

  explicit FakeHttp(Script script) : script_(std::move(script)) {
    listener_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_.get(), raw, length), 0);
    EXPECT_EQ(listen(listener_.get(), 128), 0);
    EXPECT_EQ(getsockname(listener_.get(), raw, &length), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~FakeHttp() {
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (Connection& each : connections_) {
      shutdown(each.fd.get(), SHUT_RDWR);
      each.thread.join();
    }
  }
  FakeHttp(const FakeHttp&) = delete;
  FakeHttp& operator=(const FakeHttp&) = delete;

  std::string endpoint() const { return fmt::format("http://127.0.0.1:{}", port_); }
  size_t accepted() const { return accepted_; }
  size_t requests() const { return requests_; }

 private:
  struct Connection {
    FileDescriptor fd;
    std::thread thread;
  };

  void accept_all() {
    for (;;) {
      FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      ++accepted_;
      const int number = fd.get();
      connections_.push_back(
          {.fd = std::move(fd), .thread = std::thread([this, number] { serve(number); })});
    }
  }

  void serve(int fd) {
    const Peer peer(fd);
    for (;;) {
      const std::string request = peer.request();
      if (request.empty()) break;
      ++requests_;
      if (!script_(peer, request)) break;
    }
    shutdown(fd, SHUT_RDWR);
  }

  Script script_;
  FileDescriptor listener_;
  int port_ = 0;
  std::atomic<size_t> accepted_{0};
  std::atomic<size_t> requests_{0};
  std::list<Connection> connections_;  ///< the acceptor's, then the destructor's
  std::thread acceptor_;
};

/// Closed until it is opened.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace jvpn::test
