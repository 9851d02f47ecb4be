#include "tools/client/underlays/underlay.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/ip_header.h"
#include "tools/shared/netlink/netlink.h"

namespace jvpn::client::underlays {

namespace {

constexpr uint16_t kEthernetMtu = 1'500;

/// One of the SIOCGIF… questions about a device; nullopt with errno set.
std::optional<ifreq> ask_device(const std::string& device, unsigned long question) {
  const FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!fd) return std::nullopt;
  if (device.size() >= sizeof request.ifr_name) {
    errno = ENODEV;
    return std::nullopt;
  }
  std::memcpy(request.ifr_name, device.c_str(), device.size() + 1);
  if (::ioctl(fd.get(), question, &request) != 0) return std::nullopt;
  return request;
}

}  // namespace

uint16_t device_mtu(const std::string& device) {
  const auto answer = ask_device(device, SIOCGIFMTU);
  return answer ? static_cast<uint16_t>(std::clamp(answer->ifr_mtu, 0, 65'535)) : uint16_t{0};
}

Result<void> device_ready(const std::string& device) {
  const auto answer = ask_device(device, SIOCGIFFLAGS);
  if (!answer) return errno_error("device " + device);
  if ((answer->ifr_flags & IFF_UP) == 0) return Error{"device " + device + ": it is down"};
  if ((answer->ifr_flags & IFF_RUNNING) == 0) return Error{"device " + device + ": no carrier"};
  return {};
}

bool device_has_address(const std::string& device, const IpAddress& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return true;  // not known: the way to the remote decides
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  const int family = address.is_v6() ? AF_INET6 : AF_INET;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
    if (one->ifa_name != device && std::string_view(one->ifa_name) != "lo") continue;
    SocketAddress local;
    std::memcpy(&local.any, one->ifa_addr, address.is_v6() ? sizeof local.v6 : sizeof local.v4);
    if (local.endpoint().address == address) return true;
  }
  return false;
}

Underlay::Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark)
    : number_(number), profile_(std::move(profile)), mark_(mark) {}

Underlay::Underlay(uint16_t number, UnderlayProfile profile, std::optional<uint32_t> mark,
                   std::shared_ptr<const TlsTrust> trust)
    : Underlay(number, std::move(profile), mark) {
  tcp_ = std::make_unique<TcpLink>(std::move(trust));
}

UdpSocket::Options Underlay::options(Family family) const {
  return {profile_.device, family, profile_.source, mark_, 0};
}

Error Underlay::failure(const std::string& what) const {
  return Error{"underlay " + profile_.name + ": " + what};
}

// A socket stays bound to the device that it was opened on, which a new one of the same name isn't.
bool Underlay::device_replaced() const {
  return device_index_ != 0 && ::if_nametoindex(profile_.device.c_str()) != device_index_;
}

Result<void> Underlay::open(Family family) {
  if (device_replaced())
    for (Side& side : sides_) side.socket.reset();
  auto& socket = sides_[slot(family)].socket;
  if (socket) return {};
  if (profile_.source && profile_.source->family != family)
    return failure("its source " + to_string(*profile_.source) + " is of the other address family");
  device_index_ = ::if_nametoindex(profile_.device.c_str());
  auto opened = UdpSocket::open(options(family));
  if (!opened) return failure(opened.error().message);
  socket = std::move(opened).value();
  return {};
}

bool Underlay::is_open(Family family) const {
  if (tcp_) return tcp_->state() == TcpLink::State::kUp;
  return sides_[slot(family)].socket.has_value();
}

bool Underlay::is_open(const Path& path) const {
  return is_open(path.remote.address.family) && (!tcp_ || path == path_from(path.remote));
}

UdpSocket::Sent Underlay::send(const Endpoint& remote,
                               std::span<const std::span<uint8_t>> packets) {
  if (tcp_) return tcp_->send(packets);
  return sides_[slot(remote.address.family)].socket->send(SocketAddress::from(remote, 0), packets);
}

bool Underlay::send_control(const Endpoint& remote, std::span<const uint8_t> message) {
  if (tcp_) return tcp_->send_control(message);
  // The socket takes what data may be sealed in; it doesn't write to it.
  const std::span<uint8_t> payload(const_cast<uint8_t*>(message.data()), message.size());
  const auto sent = send(remote, std::span(&payload, 1));
  // What is too big for the device was a probe, which is lost on this path: no packet of anybody's.
  return sent.taken != 0 && sent.failed == 0;
}

size_t Underlay::receive(Family family, ReceiveBatch& batch) {
  if (!tcp_) return sides_[slot(family)].socket->receive(batch);
  tcp_->receive(batch);
  return 0;
}

int Underlay::descriptor(Family family) const {
  if (tcp_) {
    const bool serves = tcp_->remote() && tcp_->remote()->address.family == family;
    return serves ? tcp_->fd() : -1;
  }
  const auto& socket = sides_[slot(family)].socket;
  return socket ? socket->fd() : -1;
}

Result<void> Underlay::dial(const Endpoint& remote, Millis deadline) {
  if (profile_.source && profile_.source->family != remote.address.family)
    return failure("its source " + to_string(*profile_.source) + " is of the other address family");
  if (const auto local = local_address_to(remote); !local) {
    tcp_->hang_up();
    return local.error();
  }
  device_index_ = ::if_nametoindex(profile_.device.c_str());
  tcp_->dial(options(remote.address.family), remote, deadline);
  return {};
}

/// The link is up, and its device and address are there.
Result<void> Underlay::tcp_usable() const {
  if (tcp_->state() == TcpLink::State::kFailed) return failure(tcp_->why());
  if (tcp_->state() != TcpLink::State::kUp) return failure("not connected");
  if (device_replaced()) return failure("device " + profile_.device + " was removed");
  if (const auto ready = device_ready(profile_.device); !ready)
    return failure(ready.error().message);
  const IpAddress& local = tcp_->local().address;
  if (!device_has_address(profile_.device, local))
    return failure("address " + to_string(local) + " was removed");
  return {};
}

UdpSocket* Underlay::socket(Family family) {
  auto& socket = sides_[slot(family)].socket;
  return socket ? &*socket : nullptr;
}

// Our address on the way to a remote, if there is a way by the device.
Result<IpAddress> Underlay::local_address_to(const Endpoint& remote) const {
  if (const auto ready = device_ready(profile_.device); !ready)
    return failure(ready.error().message);
  const auto local = underlays::local_address_to(options(remote.address.family), remote);
  if (!local) return failure(local.error().message);
  const std::string device = "device " + profile_.device + ": ";
  if (!device_has_address(profile_.device, *local))
    return failure(device + "no address to reach " + to_string(remote) + " from");
  if (!remote.address.is_v4()) return *local;
  const auto netlink = netlink::Netlink::open();
  if (!netlink) return netlink.error();
  const auto index = static_cast<int>(::if_nametoindex(profile_.device.c_str()));
  if (const auto route = (*netlink)->find_route(index, remote, mark_); !route)
    return failure(device + route.error().message);
  return *local;
}

Result<Path> Underlay::path_to(const Endpoint& remote) {
  if (tcp_) {
    if (const auto usable = tcp_usable(); !usable) return usable.error();
    if (tcp_->remote() != remote) return failure("not connected to " + to_string(remote));
    return path_from(remote);
  }
  const Family family = remote.address.family;
  if (const auto opened = open(family); !opened) return opened.error();
  const auto local = local_address_to(remote);
  if (!local) return local.error();
  auto& locals = sides_[slot(family)].locals;
  const auto known = std::find_if(locals.begin(), locals.end(),
                                  [&](const auto& one) { return one.first == remote; });
  if (known != locals.end())
    known->second = *local;
  else
    locals.emplace_back(remote, *local);
  return path_from(remote);
}

Result<void> Underlay::usable(const Path& path) const {
  if (tcp_) {
    if (auto usable = tcp_usable(); !usable) return usable;
    return path == path_from(path.remote) ? Result<void>{}
                                          : Result<void>(failure("that connection has ended"));
  }
  const Side& side = sides_[slot(path.remote.address.family)];
  if (device_replaced() || !side.socket || side.socket->local_port() != path.local.port)
    return failure("device " + profile_.device + " was removed");
  const bool local_known = path.local.address.family != Family::kNone;
  if (local_known && !device_has_address(profile_.device, path.local.address))
    return failure("address " + to_string(path.local.address) + " was removed");
  const auto local = local_address_to(path.remote);
  return local ? Result<void>{} : Result<void>(local.error());
}

Path Underlay::path_from(const Endpoint& remote) const {
  if (tcp_) return {number_, tcp_->local(), remote};
  const Side& side = sides_[slot(remote.address.family)];
  Path path{number_, {{}, side.socket ? side.socket->local_port() : uint16_t{0}}, remote};
  for (const auto& [known, local] : side.locals)
    if (known == remote) path.local.address = local;
  return path;
}

uint16_t Underlay::inner_mtu(const Endpoint& remote) const {
  // Datagrams leave the stream on the gateway's side, into an Ethernet.
  const uint16_t mtu = tcp_ ? kEthernetMtu : device_mtu(profile_.device);
  const uint16_t overhead = outer_overhead(remote.address.family);
  return mtu > overhead ? static_cast<uint16_t>(mtu - overhead) : uint16_t{0};
}

}  // namespace jvpn::client::underlays
