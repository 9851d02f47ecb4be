// How datagrams of JVP/1 go through a stream: a length of 16 bits, little-endian, and as many bytes
// (docs/PROTOCOL.md, over TCP). No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/wire.h"

namespace jvpn::fallback {

inline constexpr size_t kLengthBytes = sizeof(uint16_t);
/// No message of JVP/1 is shorter than its header, or longer than a probe of a jumbo frame.
inline constexpr size_t kLeastDatagram = sizeof(wire::TransportHeader);
inline constexpr size_t kMostDatagram = wire::kMaxPaddedPlaintext + wire::kTransportOverhead;

/// May a length be a datagram's?
constexpr bool is_datagram_length(size_t bytes) {
  return bytes >= kLeastDatagram && bytes <= kMostDatagram;
}

/// Is that what an initiator sends first: a handshake, a question, data or control with the length
/// that those have at least? Authentic it may still not be.
bool begins_exchange(std::span<const uint8_t> datagram);

/// Cuts a stream into datagrams, however it arrives. Bounded; one thread.
class FrameReader {
 public:
  /// `capacity` in bytes: at least two of the longest frames, so that one always fits behind what
  /// is left of another.
  explicit FrameReader(size_t capacity);

  /// Where the next bytes of the stream go; never empty. Moves what is left to the front: datagrams
  /// that next() gave are void. Call it when next() has no more.
  std::span<uint8_t> room();
  /// As many bytes of room() were filled.
  void commit(size_t bytes) { end_ += bytes; }
  /// The next whole datagram, in place, until room() is called; nullopt: the stream has none yet,
  /// or is refused.
  std::optional<std::span<uint8_t>> next();
  /// The length that no datagram has and that came in its place: the stream is of no use any more.
  std::optional<size_t> refused() const { return refused_; }

 private:
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;  ///< of what isn't given out yet
  size_t end_ = 0;
  std::optional<size_t> refused_;
};

/// What a datagram may use of a queue: data leaves room for the messages that keep a session.
enum class Urgency : uint8_t { kData, kControl };

/// Frames on their way into a stream, in order. Bounded: what doesn't fit is refused, so the newest
/// gives way. The oldest can't: part of it may be in the stream already, and TCP inside the tunnel
/// takes the loss at the end for what it is, a full queue. One thread.
class FrameQueue {
 public:
  /// Data is taken while fewer than `limit` bytes wait.
  explicit FrameQueue(size_t limit) : limit_(limit) {}

  /// False: no room, or no datagram's length.
  bool add(std::span<const uint8_t> datagram, Urgency urgency);
  /// What goes into the stream next; empty: nothing waits.
  std::span<const uint8_t> front() const {
    return {buffer_.data() + begin_, buffer_.size() - begin_};
  }
  /// The stream has taken as many bytes of front().
  void consume(size_t bytes);
  size_t bytes() const { return buffer_.size() - begin_; }

  /// Beyond the limit, for Urgency::kControl.
  static constexpr size_t kReserve = 32'768;

 private:
  size_t limit_;
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;
};

}  // namespace jvpn::fallback
