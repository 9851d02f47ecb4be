// A path: one local interface and address, one remote endpoint.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "common/ip.h"
#include "common/types.h"

namespace jvpn {

/// The two ends of a transport. `interface` is a port number on a gateway, an underlay's on a
/// client.
struct Path {
  uint16_t interface = 0;
  Endpoint local;
  Endpoint remote;
  auto operator<=>(const Path&) const = default;
};

/// Where one of a peer's gateways listens.
struct GatewayEndpoint {
  Endpoint remote;
  GatewayNumber gateway;
  auto operator<=>(const GatewayEndpoint&) const = default;
};

/// `192.0.2.2:40000>192.0.2.1:51900`, as events write it.
std::string to_string(const Path& path);

}  // namespace jvpn
