// One client's connection, and the UDP socket of its own by which its datagrams go to the gateway:
// jvpnd sees a path like any other.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/file_descriptor.h"
#include "common/ip.h"
#include "common/types.h"
#include "tools/fallback/counters.h"
#include "tools/fallback/options.h"
#include "tools/shared/fallback/tls_stream.h"

namespace jvpn::fallback {

class Link {
 public:
  /// `network`: for which it counts. `stream` is a server's; `gateway` a connected UDP socket.
  Link(TlsStream stream, FileDescriptor gateway, const Endpoint& client, const Prefix& network,
       Millis now);

  int tcp() const { return stream_.fd(); }
  int udp() const { return gateway_.get(); }
  const Endpoint& client() const { return client_; }
  const Prefix& network() const { return network_; }
  bool ended() const { return stream_.phase() == TlsStream::Phase::kEnded; }
  const std::string& why() const { return stream_.why(); }
  /// Has the gateway answered? Until then it may be anybody's.
  bool proven() const { return proven_; }
  bool wants_write() const { return stream_.wants_write(); }

  /// The TCP socket is ready: goes on, and passes on what the client has sent, within a budget.
  void serve_client(Millis now, Counters& counters);
  /// The UDP socket is ready. `scratch`: room for kMostDatagram and one byte.
  void serve_gateway(std::span<uint8_t> scratch, Counters& counters);
  /// Ends it when it has had its time.
  void check_time(Millis now, const Options& options, Counters& counters);

 private:
  void to_gateway(std::span<const uint8_t> datagram, Counters& counters);

  TlsStream stream_;
  FileDescriptor gateway_;
  Endpoint client_;
  Prefix network_;
  Millis accepted_;
  Millis last_datagram_;  ///< of the client's, or when it was accepted
  bool speaks_ = false;   ///< a plausible first datagram has come
  bool proven_ = false;
};

}  // namespace jvpn::fallback
