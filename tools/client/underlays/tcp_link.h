// One underlay's connection to a gateway by TCP and TLS: dialled, carried on and ended as its owner
// orders (control/fallback_keeper.h). Nothing here blocks. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/ip.h"
#include "common/result.h"
#include "common/types.h"
#include "tools/client/underlays/tls_trust.h"
#include "tools/client/underlays/udp_socket.h"

namespace jvpn::client::underlays {

class TcpLink {
 public:
  enum class State : uint8_t {
    kIdle,     ///< not dialled, or hung up
    kDialing,  ///< TCP or TLS isn't through yet
    kUp,       ///< datagrams pass
    kFailed,   ///< why() says what ended it; until it is dialled or hung up
  };

  explicit TcpLink(std::shared_ptr<const TlsTrust> trust) : trust_(std::move(trust)) {}

  /// Begins to connect from that device; what was there before is hung up. A failure is told by
  /// state(). `deadline`: until when it has to be up.
  void dial(const UdpSocket::Options& from, const Endpoint& remote, Millis deadline);
  /// The socket is ready, or time has passed: goes on, and sends what waits.
  void advance(Millis now);
  void hang_up();
  /// It is of no use any more. What receive() gave stays until release().
  void fail(const std::string& why);
  /// Closes the socket of a link that failed.
  void release();

  State state() const { return state_; }
  const std::string& why() const { return why_; }
  const std::optional<Endpoint>& remote() const { return remote_; }
  const Endpoint& local() const { return local_; }
  /// While it is dialling; kNever otherwise.
  Millis deadline() const;
  /// How often it was dialled: each time its socket is another.
  uint64_t dials() const { return dials_; }
  /// -1 without a socket.
  int fd() const { return stream_ ? stream_->fd() : -1; }
  /// TCP's own handshake wakes by being writable, too.
  bool wants_write() const {
    return stream_ && (stream_->wants_write() || (state_ == State::kDialing && !connected_));
  }
  bool pending() const { return state_ == State::kUp && stream_->pending(); }

  /// As UdpSocket::send(): what isn't taken would block, and goes once the socket takes bytes.
  UdpSocket::Sent send(std::span<const std::span<uint8_t>> packets);
  /// A message that mustn't wait behind data that was refused; false: no room.
  bool send_control(std::span<const uint8_t> message);
  /// Adds what one read brings to the batch; its datagrams stay until the next call. Call again
  /// until the batch stays empty.
  void receive(ReceiveBatch& batch);

 private:
  std::string place() const;
  void open_when_trusted();
  void follow_stream();

  std::shared_ptr<const TlsTrust> trust_;
  State state_ = State::kIdle;
  std::string why_;
  std::string device_;
  std::optional<Endpoint> remote_;
  Endpoint local_;
  uint64_t dials_ = 0;
  Millis deadline_{0};
  bool connected_ = false;  ///< TCP's handshake is done
  std::unique_ptr<fallback::TlsStream> stream_;
};

}  // namespace jvpn::client::underlays
