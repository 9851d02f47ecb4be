#include "tools/client/control/client_host.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

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

}  // namespace

ClientHost::ClientHost(ClientParts parts, Options options, events::EventLog& events)
    : parts_(parts), options_(std::move(options)), events_(events) {}

void ClientHost::send(const Path& path, std::span<const uint8_t> datagram) {
  if (path.interface >= parts_.underlays.size()) return;
  underlays::UdpSocket* const socket =
      parts_.underlays[path.interface].socket(path.remote.address.family);
  if (socket == nullptr) return;
  // The socket's interface takes what data may be sealed in; it doesn't write to it.
  const std::span<uint8_t> payload(const_cast<uint8_t*>(datagram.data()), datagram.size());
  const SocketAddress remote = SocketAddress::from(path.remote, 0);
  const auto sent = socket->send(remote, std::span(&payload, 1));
  if (sent.taken == 0 || sent.failed != 0) parts_.data_path.counters().drop(Drop::kTxFull);
  if (sent.too_big != 0) parts_.data_path.counters().drop(Drop::kTooBig);
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
  parts_.data_path.install_tx(bounded);
  wipe(bounded.traffic_key.data(), bounded.traffic_key.size());
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

uint16_t ClientHost::inner_mtu(const Path& path) {
  uint16_t mtu = 0;
  if (path.interface < parts_.underlays.size())
    mtu = parts_.underlays[path.interface].inner_mtu(path.remote);
  return std::min(min_known(mtu, options_.mtu.value_or(0)), kLargestMtu);
}

uint16_t ClientHost::smallest_path_mtu() const {
  uint16_t mtu = 0;
  for (const Path& path : candidates_)
    mtu = min_known(mtu, parts_.underlays[path.interface].inner_mtu(path.remote));
  if (mtu != 0) return mtu;
  for (const underlays::Underlay& underlay : parts_.underlays)
    for (const Endpoint& endpoint : options_.endpoints)
      mtu = min_known(mtu, underlay.inner_mtu(endpoint));
  return mtu;
}

uint16_t ClientHost::tunnel_mtu() const {
  const uint16_t mtu = min_known(smallest_path_mtu(), options_.mtu.value_or(0));
  return std::clamp(min_known(mtu, peer_mtu_), kSmallestMtu, kLargestMtu);
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
  const auto& path = parts_.data_path.path();
  if (parts_.tunnel.mtu() == 0 || (!path && candidates_.empty())) return;
  uint16_t mtu = path ? inner_mtu(*path) : uint16_t{0};
  if (!candidates_.empty()) mtu = min_known(mtu, tunnel_mtu());
  mtu = std::max(min_known(mtu, peer_mtu_), kSmallestMtu);
  if (mtu >= parts_.tunnel.mtu()) return;
  spdlog::warn("{}: the paths take less now: MTU {} → {}", parts_.tunnel.tun().name(),
               parts_.tunnel.mtu(), mtu);
  if (const auto set = parts_.tunnel.set_mtu(mtu); !set) spdlog::error("{}", set.error().message);
}

void ClientHost::emit(const session::Event& event) {
  events_.add(event);
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
