#include "tools/client/underlay.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace jvpn {

uint16_t device_mtu(const std::string& device) {
  const FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!fd || device.size() >= sizeof request.ifr_name) return 0;
  std::memcpy(request.ifr_name, device.c_str(), device.size() + 1);
  if (::ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return 0;
  return static_cast<uint16_t>(std::clamp(request.ifr_mtu, 0, 65'535));
}

Underlay::Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark)
    : number_(number), profile_(std::move(profile)), mark_(mark) {}

UdpSocket::Options Underlay::options(Family family) const {
  return {profile_.device, family, profile_.source, mark_, 0};
}

Result<void> Underlay::open(Family family) {
  auto& socket = sides_[slot(family)].socket;
  if (socket) return {};
  if (profile_.source && profile_.source->family != family)
    return Error{"underlay " + profile_.name + ": its source " + to_string(*profile_.source) +
                 " is of the other address family"};
  auto opened = UdpSocket::open(options(family));
  if (!opened) return Error{"underlay " + profile_.name + ": " + opened.error().message};
  socket = std::move(opened).value();
  return {};
}

UdpSocket* Underlay::socket(Family family) {
  auto& socket = sides_[slot(family)].socket;
  return socket ? &*socket : nullptr;
}

Result<Path> Underlay::path_to(const Endpoint& remote) {
  const Family family = remote.address.family;
  if (const auto opened = open(family); !opened) return opened.error();
  const auto probe = probe_route(options(family), remote);
  if (!probe) return Error{"underlay " + profile_.name + ": " + probe.error().message};
  sides_[slot(family)].local = probe->local;
  return path_from(remote);
}

Path Underlay::path_from(const Endpoint& remote) const {
  const Side& side = sides_[slot(remote.address.family)];
  return {number_, {side.local, side.socket ? side.socket->local_port() : uint16_t{0}}, remote};
}

uint16_t Underlay::inner_mtu(const Endpoint& remote) const {
  uint16_t mtu = device_mtu(profile_.device);
  if (const auto probe = probe_route(options(remote.address.family), remote);
      probe.ok() && probe->mtu != 0)
    mtu = std::min(mtu, probe->mtu);
  const uint16_t overhead = tunnel_overhead(remote.address.family);
  return mtu > overhead ? static_cast<uint16_t>(mtu - overhead) : uint16_t{0};
}

}  // namespace jvpn
