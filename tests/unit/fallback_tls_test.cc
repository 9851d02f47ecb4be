// The client's connection by TCP and TLS, against servers that are as they should be, and not; the
// server against clients that aren't. All on loopback, with real sockets.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "control/session/system_sources.h"
#include "tests/support/certificates.h"
#include "tools/client/underlays/tcp_link.h"
#include "tools/fallback/server.h"

namespace jvpn::fallback {
namespace {

using client::underlays::ReceiveBatch;
using client::underlays::TcpLink;
using client::underlays::TlsTrust;
using client::underlays::UdpSocket;
using State = TcpLink::State;

constexpr Millis kLong{10'000};

Endpoint local_end(int fd) {
  SocketAddress address;
  EXPECT_EQ(::getsockname(fd, &address.any, &address.length), 0);
  return address.endpoint();
}

FileDescriptor bound(int type) {
  FileDescriptor fd(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const SocketAddress any = SocketAddress::from(*Endpoint::parse("127.0.0.1:0"), 0);
  EXPECT_EQ(::bind(fd.get(), &any.any, any.length), 0);
  EXPECT_TRUE(type != SOCK_STREAM || ::listen(fd.get(), 16) == 0);
  return fd;
}

/// A folder with an authority and certificates of its own.
class FallbackTls : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    std::string pattern = testing::TempDir() + "jvpn-fallback.XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    auto made = test::Authority::make("test CA", file("ca.pem"));
    ASSERT_TRUE(made) << made.error().message;
    authority_ = std::make_unique<test::Authority>(std::move(made).value());
    issue("server", "IP:127.0.0.1");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  void issue(const std::string& stem, const std::string& names, long hours = 24) {
    const auto issued = authority_->issue(file(stem), stem, names, hours);
    ASSERT_TRUE(issued) << issued.error().message;
  }
  Credentials credentials(const std::string& stem) {
    auto loaded = load_credentials(file(stem + ".pem"), file(stem + ".key"));
    EXPECT_TRUE(loaded) << loaded.error().message;
    return std::move(loaded).value();
  }
  FallbackProfile by_ca() const {
    FallbackProfile profile;
    profile.ca_file = {file("ca.pem"), "gateway.fallback.ca_file", {}};
    return profile;
  }
  FallbackProfile by_pin(const std::string& base64) const {
    FallbackProfile profile;
    profile.public_keys.push_back(*key_from_base64(base64));
    return profile;
  }
  static TcpLink link_of(const FallbackProfile& profile) {
    auto trust = TlsTrust::create(profile);
    EXPECT_TRUE(trust) << trust.error().message;
    return TcpLink(*trust);
  }

  std::string folder_;
  std::unique_ptr<test::Authority> authority_;
};

/// Lets both ends go on until the condition holds.
template <typename Turn, typename Condition>
bool go_on(Turn turn, Condition condition) {
  const Millis until = session::boottime_now() + kLong;
  bool met = condition();
  while (!met && session::boottime_now() < until) {
    turn();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    met = condition();
  }
  return met;
}

void dial(TcpLink& link, const Endpoint& remote, Millis patience = kLong) {
  link.dial(UdpSocket::Options{"lo", Family::kIpv4, std::nullopt, std::nullopt, 0}, remote,
            session::boottime_now() + patience);
}

/// Why a server with that context is refused; "up" when it isn't.
std::string verdict_on(TcpLink link, SSL_CTX& context) {
  const FileDescriptor listener = bound(SOCK_STREAM);
  std::unique_ptr<TlsStream> server;
  dial(link, local_end(listener.get()));
  go_on(
      [&] {
        if (!server) {
          FileDescriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
          if (socket)
            server =
                std::make_unique<TlsStream>(context, std::move(socket), TlsStream::Role::kServer,
                                            TlsStream::Bounds{65'536, 65'536});
        }
        if (server) server->advance();
        link.advance(session::boottime_now());
      },
      [&] { return link.state() != State::kDialing; });
  return link.state() == State::kUp ? "up" : link.why();
}

testing::AssertionResult says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    if (text.find(part) == std::string::npos)
      return testing::AssertionFailure() << "\"" << text << "\" lacks \"" << part << "\"";
  return testing::AssertionSuccess();
}

TEST_F(FallbackTls, AServerThatIsKnownIsTaken) {
  const Credentials server = credentials("server");
  EXPECT_EQ(verdict_on(link_of(by_ca()), *server.context), "up");
  EXPECT_EQ(verdict_on(link_of(by_pin(server.public_key)), *server.context), "up");
  issue("named", "DNS:vpn.example.org");
  FallbackProfile by_name = by_ca();
  by_name.server_name = "vpn.example.org";
  EXPECT_EQ(verdict_on(link_of(by_name), *credentials("named").context), "up");
}

TEST_F(FallbackTls, AServerThatIsNotIsRefusedWithItsMend) {
  issue("expired", "IP:127.0.0.1", -48);
  EXPECT_TRUE(says(verdict_on(link_of(by_ca()), *credentials("expired").context),
                   {"TCP to 127.0.0.1:", "certificate has expired", "renew it", "clock"}));
  issue("other", "IP:192.0.2.1");
  EXPECT_TRUE(says(verdict_on(link_of(by_ca()), *credentials("other").context),
                   {"mismatch", "gateway.fallback.server_name"}));
  FallbackProfile named = by_ca();
  named.server_name = "vpn.example.org";
  EXPECT_TRUE(says(verdict_on(link_of(named), *credentials("server").context),
                   {"mismatch", "expected vpn.example.org"}));
  const auto stranger = test::Authority::make("another CA", file("stranger.pem"));
  ASSERT_TRUE(stranger && stranger->issue(file("strange"), "strange", "IP:127.0.0.1"));
  EXPECT_TRUE(says(verdict_on(link_of(by_ca()), *credentials("strange").context),
                   {"certificate is refused", "ca.pem vouches for", "gateway.fallback.ca_file"}));
  EXPECT_TRUE(says(
      verdict_on(link_of(by_pin(credentials("other").public_key)), *credentials("server").context),
      {"its public key is " + credentials("server").public_key,
       "gateway.fallback.public_key_sha256"}));
  FallbackProfile both = by_ca();
  both.public_keys = by_pin(credentials("other").public_key).public_keys;
  EXPECT_TRUE(
      says(verdict_on(link_of(both), *credentials("server").context), {"its public key is"}))
      << "one of the two isn't enough";
}

TEST_F(FallbackTls, OlderTlsIsRefused) {
  const Credentials server = credentials("server");
  SSL_CTX_set_min_proto_version(server.context.get(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(server.context.get(), TLS1_2_VERSION);
  EXPECT_TRUE(
      says(verdict_on(link_of(by_ca()), *server.context), {"doesn't offer TLS 1.3", "expected"}));
}

TEST_F(FallbackTls, WhatIsNoServerIsSaid) {
  enum class Does { kCloses, kSpeaksHttp, kIsSilent };
  struct Case {
    Does does;
    std::vector<std::string> says;
  };
  for (const Case& each :
       {Case{Does::kCloses, {"closed within the TLS handshake", "on the way", "jvpn-fallback"}},
        Case{Does::kSpeaksHttp, {"isn't TLS"}},
        Case{Does::kIsSilent, {"no TLS handshake in time", "no jvpn-fallback"}}}) {
    const FileDescriptor listener = bound(SOCK_STREAM);
    TcpLink link = link_of(by_ca());
    dial(link, local_end(listener.get()), each.does == Does::kIsSilent ? Millis{300} : kLong);
    FileDescriptor middlebox;
    go_on(
        [&] {
          if (!middlebox)
            middlebox = FileDescriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
          uint8_t hello[2'000];
          const bool came = middlebox && ::recv(middlebox.get(), hello, sizeof hello, 0) > 0;
          if (came && each.does == Does::kCloses) ::shutdown(middlebox.get(), SHUT_WR);
          if (came && each.does == Does::kSpeaksHttp)
            (void)::send(middlebox.get(), "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0);
          link.advance(session::boottime_now());
        },
        [&] { return link.state() != State::kDialing; });
    EXPECT_TRUE(says(link.why(), each.says));
  }
}

TEST_F(FallbackTls, NobodyThereIsSaid) {
  Endpoint remote;
  { remote = local_end(bound(SOCK_STREAM).get()); }
  TcpLink link = link_of(by_ca());
  dial(link, remote);
  go_on([&] { link.advance(session::boottime_now()); },
        [&] { return link.state() != State::kDialing; });
  EXPECT_TRUE(says(link.why(), {"refused", "jvpn-fallback is expected to listen there"}));
}

TEST_F(FallbackTls, KeysThatOthersMayReadAreRefused) {
  const auto load = [&] { return load_credentials(file("server.pem"), file("server.key")); };
  ASSERT_EQ(::chmod(file("server.key").c_str(), 0640), 0);
  ASSERT_FALSE(load());
  EXPECT_TRUE(says(load().error().message,
                   {"--key ", "expected a file with mode 0600, got mode 0640", "chmod 0600"}));
  ASSERT_EQ(::chmod(file("server.key").c_str(), 0600), 0);
  EXPECT_TRUE(load());
  issue("other", "IP:127.0.0.1");
  const auto mixed = load_credentials(file("server.pem"), file("other.key"));
  ASSERT_FALSE(mixed);
  EXPECT_TRUE(says(mixed.error().message, {"expected the key of the certificate in"}));
  issue("old", "IP:127.0.0.1", -1);
  EXPECT_TRUE(says(credentials("old").warning, {"it has expired", "SIGHUP"}));
}

/// jvpn-fallback on a thread of its own, and a socket in the gateway's place.
class Running {
 public:
  Running(Options options, Credentials credentials) : gateway_(bound(SOCK_DGRAM)) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    signals_ = FileDescriptor(ends[0]);
    order_ = FileDescriptor(ends[1]);
    const FileDescriptor free = bound(SOCK_STREAM);
    remote_ = local_end(free.get());
    options.listen = {remote_};
    options.gateway = local_end(gateway_.get());
    const int reuse = 1;
    ::setsockopt(free.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    const_cast<FileDescriptor&>(free).reset();
    auto server = Server::create(options, std::move(credentials));
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run(signals_.get())); });
  }
  ~Running() {
    if (thread_.joinable()) end();
  }
  /// What it has done.
  Counters end() {
    signalfd_siginfo info{};
    info.ssi_signo = SIGTERM;
    EXPECT_EQ(::write(order_.get(), &info, sizeof info), static_cast<ssize_t>(sizeof info));
    thread_.join();
    return server_->counters();
  }
  const Endpoint& remote() const { return remote_; }
  int gateway() const { return gateway_.get(); }

 private:
  FileDescriptor gateway_;
  FileDescriptor signals_;
  FileDescriptor order_;
  Endpoint remote_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

bool connect(TcpLink& link, const Endpoint& remote) {
  dial(link, remote);
  return go_on([&] { link.advance(session::boottime_now()); },
               [&] { return link.state() != State::kDialing; }) &&
         link.state() == State::kUp;
}

/// Until the server has closed it.
bool is_closed(TcpLink& link) {
  ReceiveBatch batch;
  return go_on(
      [&] {
        link.receive(batch);
        link.advance(session::boottime_now());
      },
      [&] { return link.state() == State::kFailed; });
}

std::vector<uint8_t> message(uint8_t type, size_t bytes) {
  std::vector<uint8_t> made(bytes);
  made[0] = type;
  return made;
}

TEST_F(FallbackTls, DatagramsGoBothWaysByASourceOfTheirOwn) {
  Running server({}, credentials("server"));
  std::vector<TcpLink> links;
  std::vector<SocketAddress> sources;
  ReceiveBatch batch;
  for (int n = 0; n < 2; ++n) {
    TcpLink& link = links.emplace_back(link_of(by_ca()));
    ASSERT_TRUE(connect(link, server.remote())) << link.why();
    for (const size_t bytes : {size_t{100}, kMostDatagram}) {
      ASSERT_TRUE(link.send_control(message(5, bytes)));
      std::vector<uint8_t> came(kMostDatagram + 1);
      SocketAddress source;
      ssize_t got = -1;
      ASSERT_TRUE(go_on(
          [&] {
            link.advance(session::boottime_now());
            got = ::recvfrom(server.gateway(), came.data(), came.size(), 0, &source.any,
                             &source.length);
          },
          [&] { return got >= 0; }));
      EXPECT_EQ(static_cast<size_t>(got), bytes);
      if (bytes == 100) sources.push_back(source);
      ASSERT_EQ(::sendto(server.gateway(), came.data(), bytes, 0, &source.any, source.length), got);
      link.receive(batch);
      ASSERT_TRUE(go_on([&] { link.receive(batch); }, [&] { return !batch.datagrams().empty(); }));
      EXPECT_EQ(batch.datagrams()[0].payload.size(), bytes);
      EXPECT_EQ(batch.remote(batch.datagrams()[0]), server.remote());
    }
  }
  EXPECT_NE(sources[0].endpoint().port, sources[1].endpoint().port) << "each is a path of its own";
  const Counters counters = server.end();
  EXPECT_EQ(counters.to_gateway, 4U);
  EXPECT_EQ(counters.to_client, 4U);
  EXPECT_EQ(counters.implausible + counters.failed, 0U);
}

TEST_F(FallbackTls, WhoSpeaksNoJvpIsShutOut) {
  Running server({}, credentials("server"));
  for (const uint8_t type : {uint8_t{2}, uint8_t{7}, uint8_t{'G'}}) {
    TcpLink link = link_of(by_ca());
    ASSERT_TRUE(connect(link, server.remote()));
    ASSERT_TRUE(link.send_control(message(type, 100)));
    EXPECT_TRUE(is_closed(link)) << int{type};
  }
  const Counters counters = server.end();
  EXPECT_EQ(counters.implausible, 3U);
  EXPECT_EQ(counters.to_gateway, 0U) << "the gateway has seen nothing of it";
}

/// Takes one datagram at the gateway's place and sends one back. Returns whose it is.
SocketAddress answer(int gateway) {
  std::vector<uint8_t> came(1'500);
  SocketAddress source;
  EXPECT_TRUE(go_on([] {},
                    [&] {
                      return ::recvfrom(gateway, came.data(), came.size(), 0, &source.any,
                                        &source.length) > 0;
                    }));
  const auto back = message(5, 100);
  EXPECT_EQ(::sendto(gateway, back.data(), back.size(), 0, &source.any, source.length),
            static_cast<ssize_t>(back.size()));
  return source;
}

TEST_F(FallbackTls, ConnectionsAreBounded) {
  Options options;
  options.per_network = 2;
  options.handshake = Millis{400};
  Running server(options, credentials("server"));
  std::vector<TcpLink> links;
  for (int n = 0; n < 2; ++n) {
    links.push_back(link_of(by_ca()));
    ASSERT_TRUE(connect(links.back(), server.remote()));
  }
  TcpLink third = link_of(by_ca());
  EXPECT_FALSE(connect(third, server.remote())) << "its network has both of its";
  ASSERT_TRUE(links[0].send_control(message(5, 100)));
  answer(server.gateway());
  EXPECT_TRUE(is_closed(links[1])) << "it said nothing in time";
  EXPECT_EQ(links[0].state(), State::kUp);
  ASSERT_TRUE(connect(third, server.remote())) << "there is room again";
  ASSERT_TRUE(third.send_control(message(5, 100)));
  EXPECT_TRUE(is_closed(third)) << "the gateway knows it not";
  EXPECT_EQ(links[0].state(), State::kUp);
  const Counters counters = server.end();
  EXPECT_EQ(counters.refused_network, 1U);
  EXPECT_EQ(counters.failed, 2U);
}

TEST_F(FallbackTls, WhatAConnectionCantTakeIsDroppedAndCounted) {
  Options options;
  options.queue_bytes = 4 << 20;  // more than one turn can send
  Running server(options, credentials("server"));
  TcpLink link = link_of(by_ca());
  ASSERT_TRUE(connect(link, server.remote()));
  ASSERT_TRUE(link.send_control(message(5, 100)));
  const SocketAddress source = answer(server.gateway());
  constexpr size_t kSent = 40'000;  // 40 MB, which no socket's buffer holds; the client reads none
  const auto data = message(4, 1'000);
  for (size_t n = 0; n < kSent; ++n) {
    ::sendto(server.gateway(), data.data(), data.size(), 0, &source.any, source.length);
    if (n % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  const auto last = message(6, 100);  // control has room of its own
  ::sendto(server.gateway(), last.data(), last.size(), 0, &source.any, source.length);
  ReceiveBatch batch;
  size_t got = 0;
  bool whole = false;
  go_on(
      [&] {
        for (int turn = 0; turn < 1'000; ++turn) {
          link.receive(batch);
          if (batch.datagrams().empty()) return;
          got += batch.datagrams().size();
          for (const auto& each : batch.datagrams()) whole |= each.payload[0] == 6;
        }
      },
      [&] { return whole; });
  EXPECT_TRUE(whole) << "what waits goes on by itself, to the end";
  EXPECT_GT(got, 100U) << "it goes on with what there was room for";
  EXPECT_EQ(link.state(), State::kUp);
  const Counters counters = server.end();
  EXPECT_GT(counters.lost_to_client, kSent / 4);
}

}  // namespace
}  // namespace jvpn::fallback
