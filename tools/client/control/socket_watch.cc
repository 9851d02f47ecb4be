#include "tools/client/control/socket_watch.h"

#include <spdlog/spdlog.h>

namespace jvpn::client::control {
namespace {

uint64_t socket_tag(size_t underlay, Family family) {
  return SocketWatch::kFirstTag + 2 * underlay + (family == Family::kIpv6 ? 1 : 0);
}

}  // namespace

SocketWatch::Source SocketWatch::source(uint64_t tag) {
  const uint64_t number = tag - kFirstTag;
  return {number / 2, number % 2 == 0 ? Family::kIpv4 : Family::kIpv6};
}

void SocketWatch::watch(underlays::Underlay& underlay) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const underlays::UdpSocket* const socket = underlay.socket(family);
    if (socket == nullptr) continue;
    if (const auto added = loop_.add(socket->fd(), socket_tag(underlay.number(), family)); !added)
      spdlog::error("underlay {}: {}", underlay.name(), added.error().message);
  }
}

void SocketWatch::watch_writable(const Path& path, bool writable) {
  const Family family = path.remote.address.family;
  if (const underlays::UdpSocket* const socket = underlays_[path.interface].socket(family))
    loop_.change(socket->fd(), socket_tag(path.interface, family), true, writable);
}

}  // namespace jvpn::client::control
