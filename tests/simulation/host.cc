#include "tests/simulation/host.h"

#include <algorithm>

namespace jvpn::sim {
namespace {

constexpr uint16_t kPort = 51'900;
constexpr size_t kFirstNetwork = 2;
constexpr size_t kDataBytes = sizeof(wire::TransportHeader) + sizeof(RawKey) + sizeof(uint64_t);

}  // namespace

Endpoint endpoint_of(size_t node, size_t network) {
  const auto third = static_cast<uint8_t>(network + kFirstNetwork);
  return {IpAddress::v4({192, 0, third, static_cast<uint8_t>(node + 1)}), kPort};
}

Path path_between(size_t from, size_t to, size_t network) {
  return {static_cast<uint16_t>(network), endpoint_of(from, network), endpoint_of(to, network)};
}

size_t node_of(const Endpoint& endpoint) {
  return endpoint.address.bytes[3] - size_t{1};
}

size_t network_of(const Path& path) {
  return path.local.address.bytes[2] - kFirstNetwork;
}

void Host::send(const Path& path, std::span<const uint8_t> datagram) {
  world_.carry({node_,
                node_of(path.remote),
                {path.interface, path.remote, path.local},
                {datagram.begin(), datagram.end()}});
}

void Host::install_rx(const session::RxInstall& install) {
  rx_.emplace(install.index.value, install);
  world_.learn_key(node_, install.index, install.control_key);
}

void Host::install_tx(const session::TxInstall& install) {
  const auto before = tx_.find(install.peer.value);
  const bool new_key = before == tx_.end() || before->second.traffic_key != install.traffic_key;
  if (new_key) activity_[install.peer.value].tx_generation_packets = 0;
  tx_.insert_or_assign(install.peer.value, install);
}

session::Published Host::published(PeerId peer) {
  session::Published answer;
  if (const auto at = tx_.find(peer.value); at != tx_.end()) {
    const session::TxInstall& install = at->second;
    answer.tx = {install.binding_version, install.peer_index, install.first_lane, install.path};
  }
  for (const auto& [index, install] : rx_) {
    if (install.peer == peer)
      answer.rx.push_back({install.index, install.first_lane, install.lanes});
  }
  return answer;
}

wire::Timestamp Host::timestamp() {
  const uint64_t now = clocks_.wall_ms(world_.now());
  const uint64_t seconds = (uint64_t{1} << 62) + 10 + now / 1'000;
  const uint64_t nanoseconds = now % 1'000 * 1'000'000;
  wire::Timestamp stamp{};
  for (size_t i = 0; i < 8; ++i) stamp[i] = static_cast<uint8_t>(seconds >> (56 - 8 * i));
  for (size_t i = 0; i < 4; ++i) stamp[8 + i] = static_cast<uint8_t>(nanoseconds >> (24 - 8 * i));
  return stamp;
}

std::optional<Packet> Host::seal(PeerId peer, uint64_t tag) {
  const auto at = tx_.find(peer.value);
  if (at == tx_.end()) return std::nullopt;
  const session::TxInstall& install = at->second;
  const uint16_t lane = install.first_lane.value;
  const uint64_t sequence = sequences_[{install.traffic_key, lane}]++;
  checks_.on_data(run_, install.traffic_key, lane, sequence);
  wire::TransportHeader header{};
  header.type = wire::MessageType::kData;
  header.receiver = install.peer_index.value;
  header.counter = wire::make_counter(install.first_lane, sequence) ^ install.data_mask;
  Packet packet{node_,
                node_of(install.path.remote),
                {install.path.interface, install.path.remote, install.path.local},
                Bytes(kDataBytes)};
  uint8_t* const to = packet.bytes.data();
  __builtin_memcpy(to, &header, sizeof header);
  __builtin_memcpy(to + sizeof header, install.traffic_key.data(), sizeof(RawKey));
  __builtin_memcpy(to + sizeof header + sizeof(RawKey), &tag, sizeof tag);
  ++activity_[peer.value].tx_packets;
  ++activity_[peer.value].tx_generation_packets;
  return packet;
}

std::optional<Host::Opened> Host::open(const Packet& packet, bool& known) {
  wire::TransportHeader header;
  __builtin_memcpy(&header, packet.bytes.data(), sizeof header);
  const auto found = rx_.find(header.receiver);
  known = found != rx_.end();
  if (!known) return std::nullopt;
  const session::RxInstall& install = found->second;
  const uint64_t counter = header.counter ^ install.data_mask;
  const int lane = wire::lane_of(counter).value - install.first_lane.value;
  const bool opens =
      lane >= 0 && lane < install.lanes &&
      std::ranges::equal(
          install.traffic_key,
          std::span(packet.bytes).subspan(sizeof header, install.traffic_key.size()));
  if (!opens) return std::nullopt;
  const Millis now = clocks_.boot(world_.now());
  session::RxProgress& progress = progress_[header.receiver];
  ++progress.received;
  progress.last_rx = now;
  progress.expected = std::max(progress.expected, wire::sequence_of(counter) + 1);
  session::Activity& activity = activity_[install.peer.value];
  ++activity.rx_packets;
  activity.last_rx = now;
  Opened opened{install.peer, 0};
  __builtin_memcpy(&opened.tag, packet.bytes.data() + sizeof header + sizeof(RawKey),
                   sizeof opened.tag);
  return opened;
}

std::vector<PeerId> Host::peers_with_tx() const {
  std::vector<PeerId> peers;
  for (const auto& [peer, install] : tx_) peers.push_back(PeerId{peer});
  return peers;
}

}  // namespace jvpn::sim
