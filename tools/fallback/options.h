// What the command line tells jvpn-fallback.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/types.h"

namespace jvpn::fallback {

struct Options {
  std::vector<Endpoint> listen;  ///< at least one
  Endpoint gateway;              ///< where jvpnd takes datagrams
  std::string certificate_file;  ///< PEM: the server's own first, then those that vouch for it
  std::string key_file;          ///< PEM, mode 0600
  uint32_t connections = 1'024;  ///< at once
  uint32_t per_network = 128;    ///< of them, from one /24 or /48
  Millis handshake{10'000};      ///< from accept() to the gateway's first answer
  Millis idle{300'000};          ///< without a datagram from the client
  size_t queue_bytes = 262'144;  ///< of data that waits for a connection
};

}  // namespace jvpn::fallback
