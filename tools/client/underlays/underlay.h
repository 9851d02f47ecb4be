// One of the host's ways out: a device, optionally a source address, and a UDP socket per family.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "common/profile.h"
#include "common/result.h"
#include "tools/client/underlays/udp_socket.h"

namespace jvpn::client::underlays {

/// An underlay of the profile. It may come and go: its device needn't exist yet, and one that was
/// removed may return as another of the same name. Its sockets are then opened anew. One thread.
class Underlay {
 public:
  /// `number`: as Path::interface. `mark`: firewall mark of its sockets.
  Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark);

  uint16_t number() const { return number_; }
  const std::string& name() const { return profile_.name; }

  /// Opens a socket of that family if there is none on the device as it is now. An Error says what
  /// the device lacks.
  Result<void> open(Family family);
  /// nullptr while it isn't open.
  UdpSocket* socket(Family family);

  /// The path to a remote by this underlay. Needs the device up with its carrier, an address and a
  /// route by it; an Error names what is missing. Opens the socket.
  Result<Path> path_to(const Endpoint& remote);
  /// Can packets still leave by a path that path_to() gave before? An Error says what it lost.
  Result<void> usable(const Path& path) const;
  /// The path that a received datagram came by.
  Path path_from(const Endpoint& remote) const;

  /// Largest inner packet that fits the device's MTU; what the path takes is for probes to find. 0
  /// when the device is missing.
  uint16_t inner_mtu(const Endpoint& remote) const;

 private:
  struct Side {
    std::optional<UdpSocket> socket;
    std::vector<std::pair<Endpoint, IpAddress>>
        locals;  ///< of each remote, by its latest path_to()
  };
  static size_t slot(Family family) { return family == Family::kIpv6 ? 1 : 0; }
  UdpSocket::Options options(Family family) const;
  Result<IpAddress> local_address_to(const Endpoint& remote) const;
  bool device_replaced() const;
  Error failure(const std::string& what) const;

  uint16_t number_;
  UnderlayProfile profile_;
  std::optional<uint32_t> mark_;
  unsigned device_index_ = 0;  ///< the device that the sockets are bound to
  std::array<Side, 2> sides_;
};

/// MTU of a network device; 0 when it is missing.
uint16_t device_mtu(const std::string& device);
/// Is a network device there, up, with a carrier? An Error says what is missing.
Result<void> device_ready(const std::string& device);
/// Has the device that address, or the host on its loopback device for any?
bool device_has_address(const std::string& device, const IpAddress& address);

}  // namespace jvpn::client::underlays
