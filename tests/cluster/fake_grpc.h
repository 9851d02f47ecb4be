// A server on loopback that answers as a test says, however wrong that is.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/bytes.h"
#include "common/file_descriptor.h"
#include "tests/support/certificates.h"
#include "tests/support/must.h"

namespace jvpn::test {

/// A certificate for 127.0.0.1, and who signed it.
class FakeIdentity {
 public:
  static const FakeIdentity& get() {
    static const FakeIdentity identity;
    return identity;
  }
  std::string ca_file() const { return folder_ + "/ca.pem"; }
  SSL_CTX* context() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  FakeIdentity() : context_(SSL_CTX_new(TLS_server_method())) {
    std::string name = (std::filesystem::temp_directory_path() / "jvpn-fake-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    const auto authority = must(Authority::make("fake", ca_file()));
    const std::string stem = folder_ + "/server";
    EXPECT_TRUE(authority.issue(stem, "server", "IP:127.0.0.1"));
    SSL_CTX_use_certificate_chain_file(context_.get(), (stem + ".pem").c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), (stem + ".key").c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_set_alpn_select_cb(context_.get(), choose_http2, nullptr);
  }
  ~FakeIdentity() { std::filesystem::remove_all(folder_); }

  static int choose_http2(SSL*, const unsigned char** chosen, unsigned char* length,
                          const unsigned char* offered, unsigned size, void*) {
    unsigned char* found = nullptr;
    static constexpr std::array<unsigned char, 3> kHttp2{2, 'h', '2'};
    const int status =
        SSL_select_next_proto(&found, length, kHttp2.data(), kHttp2.size(), offered, size);
    *chosen = found;
    return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  std::unique_ptr<SSL_CTX, Free> context_;
  std::string folder_;
};

/// What a call asked.
struct GrpcCall {
  std::map<std::string, std::string> headers;
  std::string body;
};

/// Each connection has a thread. What the test asks may be asked from any thread.
class FakeGrpc {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  static inline const Headers kOk{{":status", "200"}, {"content-type", "application/grpc"}};
  static inline const Headers kDone{{"grpc-status", "0"}};

  /// One connection, in its thread: HTTP/2 over TLS as far as the test wants it.
  class Peer {
   public:
    explicit Peer(int fd) : ssl_(SSL_new(FakeIdentity::get().context())) {
      SSL_set_fd(ssl_, fd);
      nghttp2_session_callbacks* calls = nullptr;
      nghttp2_session_callbacks_new(&calls);
      nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
      nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
      nghttp2_session_server_new(&session_, calls, this);
      nghttp2_session_callbacks_del(calls);
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    }
    ~Peer() {
      nghttp2_session_del(session_);
      SSL_free(ssl_);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    /// Bytes as they are. False: the client has gone.
    bool send(std::string_view bytes) const {
      while (!bytes.empty()) {
        const int sent = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<size_t>(sent));
      }
      return true;
    }
    /// One message, without compression.
    static std::string framed(const std::string& message) {
      std::string body(5, '\0');
      store_be32(reinterpret_cast<uint8_t*>(body.data()) + 1,
                 static_cast<uint32_t>(message.size()));
      return body + message;
    }
    /// Answers the call with that message, and that all is well. True: it was sent.
    bool answer(const std::string& message) { return answer(kOk, framed(message), kDone); }
    /// With just that. No trailers: the answer ends without.
    bool answer(const Headers& headers, const std::string& body, const Headers& trailers) {
      begin(headers, body, trailers, false);
      return flush();
    }
    /// An answer that goes on after `body`: bytes that are given by more() come behind it.
    bool begin_answer(const Headers& headers, const std::string& body) {
      begin(headers, body, {}, true);
      return flush();
    }
    bool more(const std::string& bytes) {
      body_ += bytes;
      nghttp2_session_resume_data(session_, stream_);
      return flush() && (body_.size() < kUnsent || receive());
    }
    /// Headers that aren't final, as often as they are asked for.
    bool interim(const Headers& headers) {
      const auto all = fields(headers);
      nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream_, nullptr, all.data(), all.size(),
                             nullptr);
      return flush();
    }
    /// Until the client goes, or the server ends.
    void hold() const {
      std::array<char, 4096> buffer;
      while (SSL_read(ssl_, buffer.data(), buffer.size()) > 0) continue;
    }
    /// The next call; nothing: the client has gone.
    std::optional<GrpcCall> call() {
      if (!SSL_is_init_finished(ssl_) && SSL_accept(ssl_) != 1) return std::nullopt;
      call_ = {};
      whole_ = false;
      while (!whole_)
        if (!flush() || !receive()) return std::nullopt;
      return std::move(call_);
    }

   private:
    static constexpr size_t kUnsent = size_t{1} << 20;

    static std::vector<nghttp2_nv> fields(const Headers& headers) {
      std::vector<nghttp2_nv> all;
      const auto bytes = [](const std::string& text) {
        return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // only read
      };
      for (const auto& [name, value] : headers)
        all.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
      return all;
    }
    void begin(const Headers& headers, const std::string& body, const Headers& trailers,
               bool goes_on) {
      body_ = body;
      trailers_ = trailers;
      goes_on_ = goes_on;
      nghttp2_data_provider provider{.source = {.ptr = this}, .read_callback = read_body};
      const auto all = fields(headers);
      nghttp2_submit_response(session_, stream_, all.data(), all.size(), &provider);
    }
    bool flush() {
      for (;;) {
        const uint8_t* bytes = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
        if (size < 0) return false;
        if (size == 0) return true;
        if (!send({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)})) return false;
      }
    }
    bool receive() {
      std::array<uint8_t, 16'384> buffer;
      const int got = SSL_read(ssl_, buffer.data(), buffer.size());
      return got > 0 &&
             nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(got)) >= 0;
    }

    static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t length,
                         const uint8_t* value, size_t size, uint8_t, void* self) {
      static_cast<Peer*>(self)->call_.headers.emplace(
          std::string(reinterpret_cast<const char*>(name), length),
          std::string(reinterpret_cast<const char*>(value), size));
      return 0;
    }
    static int on_data(nghttp2_session*, uint8_t, int32_t, const uint8_t* bytes, size_t size,
                       void* self) {
      static_cast<Peer*>(self)->call_.body.append(reinterpret_cast<const char*>(bytes), size);
      return 0;
    }
    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
      Peer& peer = *static_cast<Peer*>(self);
      const bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
      if (ends && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
        peer.stream_ = frame->hd.stream_id;
        peer.whole_ = true;
      }
      return 0;
    }
    static ssize_t read_body(nghttp2_session* session, int32_t stream, uint8_t* to, size_t room,
                             uint32_t* flags, nghttp2_data_source* source, void*) {
      Peer& peer = *static_cast<Peer*>(source->ptr);
      const size_t size = std::min(room, peer.body_.size());
      std::copy_n(peer.body_.data(), size, to);
      peer.body_.erase(0, size);
      if (!peer.body_.empty()) return static_cast<ssize_t>(size);
      if (peer.goes_on_)
        return size == 0 ? ssize_t{NGHTTP2_ERR_DEFERRED} : static_cast<ssize_t>(size);
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!peer.trailers_.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const auto all = fields(peer.trailers_);
        nghttp2_submit_trailer(session, stream, all.data(), all.size());
      }
      return static_cast<ssize_t>(size);
    }

    SSL* ssl_;
    nghttp2_session* session_ = nullptr;
    GrpcCall call_;
    bool whole_ = false;
    int32_t stream_ = 0;
    std::string body_;  ///< that has not left yet
    Headers trailers_;
    bool goes_on_ = false;
  };

  /// Called for each call; false: the connection is closed.
  using Script = std::function<bool(Peer&, const GrpcCall& call)>;

  explicit FakeGrpc(Script script) : script_(std::move(script)) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    FakeIdentity::get();
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
  ~FakeGrpc() {
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (Connection& each : connections_) {
      shutdown(each.fd.get(), SHUT_RDWR);
      each.thread.join();
    }
  }
  FakeGrpc(const FakeGrpc&) = delete;
  FakeGrpc& operator=(const FakeGrpc&) = delete;

  std::string endpoint() const { return fmt::format("https://127.0.0.1:{}", port_); }
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
    Peer peer(fd);
    while (const auto call = peer.call()) {
      ++requests_;
      if (!script_(peer, *call)) break;
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
