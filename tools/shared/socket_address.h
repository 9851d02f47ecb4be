// Endpoints as the socket calls want them, both ways.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/ip.h"

namespace jvpn {

/// An IPv4 or IPv6 socket address with its length.
struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t length;

  SocketAddress() : v6{}, length(sizeof v6) {}

  /// `device`: scope of a link-local IPv6 address.
  static SocketAddress from(const Endpoint& endpoint, unsigned device) {
    SocketAddress out;
    if (endpoint.address.is_v4()) {
      out.v4 = {};
      out.v4.sin_family = AF_INET;
      out.v4.sin_port = htons(endpoint.port);
      __builtin_memcpy(&out.v4.sin_addr, endpoint.address.bytes.data(), 4);
      out.length = sizeof out.v4;
      return out;
    }
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    __builtin_memcpy(&out.v6.sin6_addr, endpoint.address.bytes.data(), 16);
    if (IN6_IS_ADDR_LINKLOCAL(&out.v6.sin6_addr)) out.v6.sin6_scope_id = device;
    return out;
  }

  Endpoint endpoint() const {
    Endpoint out;
    if (any.sa_family == AF_INET) {
      out.address.family = Family::kIpv4;
      __builtin_memcpy(out.address.bytes.data(), &v4.sin_addr, 4);
      out.port = ntohs(v4.sin_port);
    } else if (any.sa_family == AF_INET6) {
      out.address.family = Family::kIpv6;
      __builtin_memcpy(out.address.bytes.data(), &v6.sin6_addr, 16);
      out.port = ntohs(v6.sin6_port);
    }
    return out;
  }
};

}  // namespace jvpn
