#include "tools/client/control/client_host.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/ip_header.h"
#include "common/secret.h"
#include "control/session/system_sources.h"

namespace jvpn::client::control {
namespace {

constexpr uint16_t kLargestMtu = 65'535 - 80;
constexpr uint16_t kSmallestMtu = 576;

uint16_t min_known(uint16_t a, uint16_t b) {
  return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

std::vector<Prefix> addresses_of(const wire::ResponsePayload& answer) {
  std::vector<Prefix> addresses;
  for (const wire::InnerAddress& inner : answer.addresses) {
    if (inner.family != 4 && inner.family != 6) break;
    Prefix prefix{{static_cast<Family>(inner.family), {}}, inner.prefix_length};
    const size_t bytes = inner.family == 4 ? 4 : 16;
    std::copy_n(inner.address, bytes, prefix.address.bytes.begin());
    if (prefix.length <= prefix.address.bits()) addresses.push_back(prefix);
  }
  return addresses;
}

/// By probes, or because a smaller path is gone, the session takes more over the path in use.
void raise_mtu(tunnel::TunnelInterface& tunnel, uint16_t mtu) {
  if (tunnel.mtu() == 0 || mtu <= tunnel.mtu()) return;
  spdlog::info("{}: the paths take more now: MTU {} → {}", tunnel.tun().name(), tunnel.mtu(), mtu);
  if (const auto set = tunnel.set_mtu(mtu); !set) spdlog::error("{}", set.error().message);
}

}  // namespace

ClientHost::ClientHost(ClientParts parts, Options options, events::EventLog& events)
    : parts_(parts), options_(std::move(options)), events_(events) {}

void ClientHost::send(const Path& path, std::span<const uint8_t> datagram) {
  if (path.interface >= parts_.underlays.size()) return;
  underlays::Underlay& underlay = parts_.underlays[path.interface];
  if (!underlay.is_open(path)) return;
  if (!underlay.send_control(path.remote, datagram))
    parts_.data_path.counters().drop(Drop::kTxFull);
}

void ClientHost::install_rx(const session::RxInstall& install) {
  parts_.data_path.install_rx(install);
}

void ClientHost::retire_rx(ReceiverIndex index) {
  parts_.data_path.retire_rx(index);
}

void ClientHost::install_tx(const session::TxInstall& install) {
  session::TxInstall bounded = install;
  bounded.inner_mtu = min_known(install.inner_mtu, inner_mtu(install.path));
  const dataplane::DataPath& data_path = parts_.data_path;
  const bool grows = data_path.path() == install.path && bounded.inner_mtu > data_path.inner_mtu();
  parts_.data_path.install_tx(bounded);
  wipe(bounded.traffic_key.data(), bounded.traffic_key.size());
  if (grows) raise_mtu(parts_.tunnel, tunnel_mtu());
  refresh_mtu();
}

/// A path that carries until the jump, and drains after it, has lost nothing that is told of.
void ClientHost::settle_hold(std::span<const LaneReport> reports) {
  if (reports.empty() && parts_.data_path.path())
    parts_.data_path.hold().forget_sent();
  else
    parts_.data_path.hold().settle(reports);
}

void ClientHost::withdraw_tx(PeerId) {
  parts_.data_path.withdraw_tx();
}

session::Activity ClientHost::activity(PeerId) {
  return parts_.data_path.activity();
}

session::RxProgress ClientHost::rx_progress(ReceiverIndex index) {
  return parts_.data_path.rx_progress(index);
}

session::Published ClientHost::published(PeerId) {
  return parts_.data_path.published();
}

uint16_t ClientHost::inner_mtu(const Path& path) {
  return inner_mtu_of(path);
}

uint16_t ClientHost::inner_mtu_of(const Path& path) const {
  uint16_t mtu = 0;
  if (path.interface < parts_.underlays.size())
    mtu = parts_.underlays[path.interface].inner_mtu(path.remote);
  return std::min(min_known(mtu, options_.mtu.value_or(0)), kLargestMtu);
}

uint16_t ClientHost::floor() const {
  return options_.ipv6_inside ? kIpv6LeastMtu : kSmallestMtu;
}

/// Paths whose device takes less than the tunnel has to count only once they carry the session.
uint16_t ClientHost::smallest_device_mtu() const {
  uint16_t mtu = 0;
  for (const Path& path : candidates_) {
    const uint16_t takes = parts_.underlays[path.interface].inner_mtu(path.remote);
    if (takes >= floor()) mtu = min_known(mtu, takes);
  }
  if (mtu != 0 || !candidates_.empty()) return mtu;
  for (const underlays::Underlay& underlay : parts_.underlays)
    for (const Endpoint& endpoint : options_.endpoints)
      if (const uint16_t takes = underlay.inner_mtu(endpoint);
          takes >= floor() && underlay.tcp() == nullptr)
        mtu = min_known(mtu, takes);
  return mtu;
}

/// What packets may be for all that is known; may be under the floor.
uint16_t ClientHost::smallest_mtu() const {
  const auto& path = parts_.data_path.path();
  uint16_t mtu = min_known(smallest_device_mtu(), options_.mtu.value_or(0));
  if (path) mtu = min_known(mtu, min_known(inner_mtu_of(*path), parts_.data_path.inner_mtu()));
  return min_known(mtu, peer_mtu_);
}

uint16_t ClientHost::tunnel_mtu() const {
  return std::clamp(smallest_mtu(), floor(), kLargestMtu);
}

void ClientHost::configured(PeerId, const wire::ResponsePayload& answer) {
  peer_mtu_ = answer.mtu;
  std::vector<Prefix> addresses = addresses_of(answer);
  if (const auto done = parts_.tunnel.configure(std::move(addresses), tunnel_mtu()); !done) {
    failure_ = done.error();
    return;
  }
  std::string list;
  for (const Prefix& address : parts_.tunnel.addresses()) list += ' ' + to_string(address);
  spdlog::info("{}: addresses{}, MTU {}", parts_.tunnel.tun().name(), list, parts_.tunnel.mtu());
}

void ClientHost::set_candidates(std::vector<Path> paths) {
  candidates_ = std::move(paths);
  refresh_mtu();
}

void ClientHost::refresh_mtu() {
  tunnel::TunnelInterface& tunnel = parts_.tunnel;
  if (tunnel.mtu() == 0 || (!parts_.data_path.path() && candidates_.empty())) return;
  if (const uint16_t mtu = tunnel_mtu(); mtu < tunnel.mtu()) {
    spdlog::warn("{}: the paths take less now: MTU {} → {}", tunnel.tun().name(), tunnel.mtu(),
                 mtu);
    if (const auto set = tunnel.set_mtu(mtu); !set) spdlog::error("{}", set.error().message);
  }
  const uint16_t takes = smallest_mtu();
  const auto bound = tunnel.bound_routes(takes != 0 && takes < floor() ? takes : uint16_t{0});
  if (!bound) spdlog::error("{}", bound.error().message);
}

void ClientHost::emit(const session::Event& event) {
  events_.put(event);  // apply() wakes the log
  const bool refused = event.kind == session::EventKind::kReattach && event.result != nullptr &&
                       std::string_view(event.result) == "reject";
  if (refused) refusal_ = event;
}

void ClientHost::random(std::span<uint8_t> bytes) {
  session::fill_random(bytes);
}

wire::Timestamp ClientHost::timestamp() {
  return session::tai64n_now();
}

}  // namespace jvpn::client::control
