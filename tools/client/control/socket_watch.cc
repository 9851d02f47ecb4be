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
    const int descriptor = underlay.descriptor(family);
    if (descriptor < 0) continue;
    if (const auto added = loop_.add(descriptor, socket_tag(underlay.number(), family)); !added)
      spdlog::error("underlay {}: {}", underlay.name(), added.error().message);
  }
}

void SocketWatch::watch_writable(const Path& path, bool writable) {
  const Family family = path.remote.address.family;
  const underlays::Underlay& underlay = underlays_[path.interface];
  // A connection wakes by itself while bytes wait for it (follow()).
  const int descriptor = underlay.tcp() == nullptr ? underlay.descriptor(family) : -1;
  if (descriptor >= 0) loop_.change(descriptor, socket_tag(path.interface, family), true, writable);
}

void SocketWatch::follow(underlays::Underlay& underlay) {
  const underlays::TcpLink& link = *underlay.tcp();
  if (told_.size() <= underlay.number()) told_.resize(underlay.number() + size_t{1});
  const Told now{link.dials(), link.wants_write()};
  if (link.fd() < 0 || told_[underlay.number()] == now) return;
  told_[underlay.number()] = now;
  watch(underlay);
  loop_.change(link.fd(), socket_tag(underlay.number(), link.remote()->address.family), true,
               now.writable);
}

}  // namespace jvpn::client::control
