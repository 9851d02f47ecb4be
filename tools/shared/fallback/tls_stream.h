// One TLS connection that carries datagrams, on a non-blocking socket: handshake, frames, a bounded
// queue. The same for both ends. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <openssl/ssl.h>

#include "common/file_descriptor.h"
#include "common/openssl_handles.h"
#include "tools/shared/fallback/frames.h"

namespace jvpn::fallback {

using TlsContext = std::unique_ptr<SSL_CTX, openssl::Freer<SSL_CTX_free>>;

/// A context with what both ends have in common: TLS 1.3 alone, nothing resumed.
TlsContext new_tls_context();
/// The oldest error that OpenSSL has noted on this thread, in its words; the notes are wiped.
std::string take_tls_error();

/// Prepares a TCP socket: no delay (Nagle's), little unsent data in the kernel, which could be
/// neither counted nor left out, and an end when nothing is acknowledged for `dead_after_ms`.
void tune_tcp(int fd, unsigned dead_after_ms);

class TlsStream {
 public:
  enum class Role : uint8_t { kClient, kServer };
  enum class Phase : uint8_t { kHandshake, kOpen, kEnded };
  struct Bounds {
    size_t in = 0;   ///< capacity of the FrameReader
    size_t out = 0;  ///< limit of the FrameQueue
  };

  /// `socket`: a connected one, or one that is connecting. `server_name`: for SNI, a client's;
  /// empty: none.
  TlsStream(SSL_CTX& context, FileDescriptor socket, Role role, Bounds bounds,
            const std::string& server_name = {});
  TlsStream(TlsStream&&) = default;
  TlsStream& operator=(TlsStream&&) = default;
  ~TlsStream();

  int fd() const { return socket_.get(); }
  Phase phase() const { return phase_; }
  /// Why it has ended, in words that say what is expected and what to mend where that is known.
  const std::string& why() const { return why_; }
  /// Of the handshake; for what the other end has shown.
  SSL& ssl() { return *ssl_; }

  /// Goes on with the handshake and sends what waits, as far as the socket lets it.
  void advance();
  /// Does the socket have to be writable before it can go on? After advance().
  bool wants_write() const { return blocked_ && phase_ != Phase::kEnded; }
  /// Queues a datagram; advance() sends it. False: no room; count it.
  bool queue(std::span<const uint8_t> datagram, Urgency urgency);
  size_t queued() const { return out_.bytes(); }
  /// Has OpenSSL taken bytes from the socket that read() will give? Nothing wakes for those.
  bool pending() const { return SSL_pending(ssl_.get()) > 0; }
  /// Takes what one read brings. False: nothing is there, or the stream has ended.
  bool read();
  /// The next datagram of what was read, until read() is called again.
  std::optional<std::span<uint8_t>> next();
  /// Ends it. Frees nothing, so that spans stay.
  void end(std::string why);

 private:
  void shake_hands();
  void fail(int result);
  std::string handshake_failure(int error) const;

  FileDescriptor socket_;
  std::unique_ptr<SSL, openssl::Freer<SSL_free>> ssl_;
  Role role_;
  Phase phase_ = Phase::kHandshake;
  bool blocked_ = false;  ///< a write, or the handshake, waits for the socket
  FrameReader in_;
  FrameQueue out_;
  std::string why_;
};

}  // namespace jvpn::fallback
