// One of the host's ways out: a device, optionally a source address, and a UDP socket per family,
// or a connection by TCP in their place.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "common/profile.h"
#include "common/result.h"
#include "tools/client/underlays/tcp_link.h"
#include "tools/client/underlays/udp_socket.h"

namespace jvpn::client::underlays {

/// An underlay of the profile. It may come and go: its device needn't exist yet, and one that was
/// removed may return as another of the same name. Its sockets are then opened anew. One thread.
class Underlay {
 public:
  /// `number`: as Path::interface. `mark`: firewall mark of its sockets.
  Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark);
  /// The same device by TCP. Its only paths are those of its link, while that is up.
  Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark,
           std::shared_ptr<const TlsTrust> trust);

  uint16_t number() const { return number_; }
  const std::string& name() const { return profile_.name; }
  /// nullptr: it goes by UDP.
  TcpLink* tcp() { return tcp_.get(); }
  const TcpLink* tcp() const { return tcp_.get(); }
  /// Begins to connect to that endpoint, if the device reaches it. An Error, which the link has,
  /// too, says why not.
  Result<void> dial(const Endpoint& remote, Millis deadline);

  /// Can something be read from paths of that family?
  bool is_open(Family family) const;
  /// Is that path open? One by TCP ends with its connection: another to the same place is another
  /// path, and nothing that was sealed for one goes by the other.
  bool is_open(const Path& path) const;
  /// As UdpSocket::send(); the underlay is open.
  UdpSocket::Sent send(const Endpoint& remote, std::span<const std::span<uint8_t>> packets);
  /// A message of the session's own. False: it is lost, because there is no room.
  bool send_control(const Endpoint& remote, std::span<const uint8_t> message);
  /// As UdpSocket::receive(); the underlay is open.
  size_t receive(Family family, ReceiveBatch& batch);
  /// Is it a connection for whose bytes nothing waits?
  bool drained() const {
    return tcp_ && tcp_->state() == TcpLink::State::kUp && !tcp_->wants_write();
  }
  /// Are there bytes that receive() gives and that wake nobody?
  bool pending() const { return tcp_ && tcp_->pending(); }
  /// To watch; -1: none.
  int descriptor(Family family) const;

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
  Result<void> tcp_usable() const;
  bool device_replaced() const;
  Error failure(const std::string& what) const;

  uint16_t number_;
  UnderlayProfile profile_;
  std::optional<uint32_t> mark_;
  unsigned device_index_ = 0;  ///< the device that the sockets are bound to
  std::array<Side, 2> sides_;
  std::unique_ptr<TcpLink> tcp_;
};

/// MTU of a network device; 0 when it is missing.
uint16_t device_mtu(const std::string& device);
/// Is a network device there, up, with a carrier? An Error says what is missing.
Result<void> device_ready(const std::string& device);
/// Has the device that address, or the host on its loopback device for any?
bool device_has_address(const std::string& device, const IpAddress& address);

}  // namespace jvpn::client::underlays
