#include "tools/fallback/link.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace jvpn::fallback {
namespace {

// Of one turn, so that one connection can't keep the others waiting.
constexpr int kReads = 8;
constexpr int kDatagrams = 64;

Urgency urgency_of(std::span<const uint8_t> datagram) {
  return datagram[0] == static_cast<uint8_t>(wire::MessageType::kData) ? Urgency::kData
                                                                       : Urgency::kControl;
}

}  // namespace

Link::Link(TlsStream stream, FileDescriptor gateway, const Endpoint& client, const Prefix& network,
           Millis now)
    : stream_(std::move(stream)),
      gateway_(std::move(gateway)),
      client_(client),
      network_(network),
      accepted_(now),
      last_datagram_(now) {}

void Link::serve_client(Millis now, Counters& counters) {
  stream_.advance();
  // What OpenSSL has already taken from the socket wakes nobody.
  for (int turn = 0; (turn < kReads || stream_.pending()) && stream_.read(); ++turn) {
    while (const auto datagram = stream_.next()) {
      if (!speaks_ && !begins_exchange(*datagram)) {
        ++counters.implausible;
        return stream_.end("its first message is none of JVP/1: closed");
      }
      speaks_ = true;
      last_datagram_ = now;
      to_gateway(*datagram, counters);
    }
    if (ended()) {
      ++counters.implausible;
      return;
    }
  }
  if (ended() && !speaks_) ++counters.failed;
}

void Link::to_gateway(std::span<const uint8_t> datagram, Counters& counters) {
  ssize_t sent;
  do {
    sent = ::send(gateway_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT);
  } while (sent < 0 && (errno == EINTR || errno == ECONNREFUSED));  // which ends with being read
  ++(sent < 0 ? counters.lost_to_gateway : counters.to_gateway);
}

void Link::serve_gateway(std::span<uint8_t> scratch, Counters& counters) {
  for (int count = 0; count < kDatagrams; ++count) {
    const ssize_t got = ::recv(gateway_.get(), scratch.data(), scratch.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) continue;  // nobody listens there; the error is read by this
    proven_ = true;
    const auto datagram = scratch.first(static_cast<size_t>(got));
    const bool taken =
        is_datagram_length(datagram.size()) && stream_.queue(datagram, urgency_of(datagram));
    ++(taken ? counters.to_client : counters.lost_to_client);
  }
  stream_.advance();
}

void Link::check_time(Millis now, const Options& options, Counters& counters) {
  const Millis until = proven_ ? last_datagram_ + options.idle : accepted_ + options.handshake;
  if (ended() || now < until) return;
  ++(proven_ ? counters.idle : counters.failed);
  stream_.end(proven_ ? "no datagram for as long as --idle-s allows: closed"
                      : "nothing that the gateway answered came within --handshake-ms: closed");
}

}  // namespace jvpn::fallback
