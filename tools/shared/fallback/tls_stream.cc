#include "tools/shared/fallback/tls_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

namespace jvpn::fallback {
namespace {

constexpr size_t kRecord = 16'384;       // the most that one TLS record takes
constexpr int kUnsentInKernel = 65'536;  // of a socket

void set(int fd, int level, int option, int value) {
  (void)::setsockopt(fd, level, option, &value, sizeof value);
}

/// What others left of errors isn't this call's.
void begin_call() {
  errno = 0;
  ERR_clear_error();
}

}  // namespace

TlsContext new_tls_context() {
  TlsContext context(SSL_CTX_new(TLS_method()));
  openssl::require(context != nullptr);
  openssl::require(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  // One call takes one record: a stream of key updates can't keep the thread in it.
  SSL_CTX_clear_mode(context.get(), SSL_MODE_AUTO_RETRY);
  return context;
}

std::string take_tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "no reason given";
}

void tune_tcp(int fd, unsigned dead_after_ms) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentInKernel);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(dead_after_ms));
}

TlsStream::TlsStream(SSL_CTX& context, FileDescriptor socket, Role role, Bounds bounds,
                     const std::string& server_name)
    : socket_(std::move(socket)),
      ssl_(SSL_new(&context)),
      role_(role),
      in_(bounds.in),
      out_(bounds.out) {
  openssl::require(ssl_ != nullptr && SSL_set_fd(ssl_.get(), socket_.get()) == 1);
  if (role == Role::kServer)
    SSL_set_accept_state(ssl_.get());
  else
    SSL_set_connect_state(ssl_.get());
  if (!server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
}

TlsStream::~TlsStream() {
  // Tells the other end, if the socket takes it at once; nobody waits.
  if (ssl_ != nullptr && phase_ == Phase::kOpen) (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void TlsStream::end(std::string why) {
  if (phase_ == Phase::kEnded) return;
  if (phase_ == Phase::kOpen) (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
  phase_ = Phase::kEnded;
  why_ = std::move(why);
}

void TlsStream::advance() {
  if (phase_ == Phase::kHandshake) shake_hands();
  if (phase_ != Phase::kOpen) return;
  blocked_ = false;
  while (out_.bytes() != 0) {
    const auto front = out_.front();
    const int bytes = static_cast<int>(std::min(front.size(), kRecord));
    begin_call();
    const int written = SSL_write(ssl_.get(), front.data(), bytes);
    if (written <= 0) return fail(written);
    out_.consume(static_cast<size_t>(written));
  }
}

void TlsStream::shake_hands() {
  blocked_ = false;
  begin_call();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1)
    phase_ = Phase::kOpen;
  else
    fail(done);
}

bool TlsStream::queue(std::span<const uint8_t> datagram, Urgency urgency) {
  return phase_ == Phase::kOpen && out_.add(datagram, urgency);
}

bool TlsStream::read() {
  if (phase_ != Phase::kOpen) return false;
  const auto room = in_.room();
  begin_call();
  const int got = SSL_read(ssl_.get(), room.data(), static_cast<int>(room.size()));
  if (got <= 0) {
    fail(got);
    return false;
  }
  in_.commit(static_cast<size_t>(got));
  return true;
}

std::optional<std::span<uint8_t>> TlsStream::next() {
  auto datagram = in_.next();
  if (!datagram && in_.refused())
    end("a length of " + std::to_string(*in_.refused()) + " bytes came, expected one from " +
        std::to_string(kLeastDatagram) + " to " + std::to_string(kMostDatagram) +
        ": the other end is no jvpn of this protocol");
  return datagram;
}

/// Of a call that gave `result`, which may only mean to wait.
void TlsStream::fail(int result) {
  const int saved = errno;
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    // A read that waits doesn't mean that a write no longer does.
    if (error == SSL_ERROR_WANT_WRITE) blocked_ = true;
    return;
  }
  errno = saved;
  std::string why;
  if (phase_ == Phase::kHandshake)
    why = handshake_failure(error);
  else if (error == SSL_ERROR_ZERO_RETURN)
    why = "the other end closed the connection";
  else if (error == SSL_ERROR_SYSCALL && saved != 0)
    why = std::strerror(saved);
  else
    why = "the connection was cut off (" + take_tls_error() + ")";
  ERR_clear_error();
  phase_ = Phase::kEnded;
  why_ = std::move(why);
}

std::string TlsStream::handshake_failure(int error) const {
  const int system = errno;
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  const long verified = SSL_get_verify_result(ssl_.get());
  const bool tls = ERR_GET_LIB(code) == ERR_LIB_SSL;
  if (tls && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    return std::string("its certificate is refused: ") + X509_verify_cert_error_string(verified);
  if (tls && (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || reason == SSL_R_UNSUPPORTED_PROTOCOL))
    return "the other end doesn't offer TLS 1.3, which is expected";
  if (tls && (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
              reason == SSL_R_PACKET_LENGTH_TOO_LONG))
    return "what came isn't TLS";
  const bool cut = error == SSL_ERROR_ZERO_RETURN || (error == SSL_ERROR_SYSCALL && system == 0) ||
                   (tls && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) || system == ECONNRESET;
  if (cut) return "the connection was closed within the TLS handshake";
  if (error == SSL_ERROR_SYSCALL && system != 0) return std::strerror(system);
  return "the TLS handshake failed: " + take_tls_error();
}

}  // namespace jvpn::fallback
