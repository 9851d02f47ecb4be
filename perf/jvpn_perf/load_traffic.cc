#include "perf/jvpn_perf/load_traffic.h"

#include <algorithm>
#include <cstring>

#include "common/wire.h"
#include "tests/packet/packet_builder.h"

namespace jvpn::perf {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kIpv4 = 20;
constexpr size_t kUdp = 8;
constexpr size_t kOuter = kEthernet + kIpv4 + kUdp;
constexpr size_t kInnerAt = kOuter + sizeof(wire::TransportHeader);
constexpr uint16_t kFirstPort = 40'000;
constexpr uint16_t kPorts = 3;
constexpr uint32_t kStride = 7'919;  // prime: neighbours in a burst aren't neighbours in memory
constexpr test::Mac48 kPortMac{};    // ring ports have none
constexpr test::Mac48 kHostMac{0x02, 0, 0, 0, 0, 0x33};

std::vector<uint8_t> inner_packet(const IpAddress& from, const IpAddress& to, unsigned bytes) {
  const size_t payload = bytes - kIpv4 - kUdp;
  return test::ipv4_packet(from, to, test::udp_datagram(7, 7, test::payload_of(payload)));
}

void set_address(uint8_t* ip, size_t at, const IpAddress& address) {
  std::memcpy(ip + at, address.bytes.data(), 4);
}

/// Of the 20 bytes at `ip`.
void set_checksum(uint8_t* ip) {
  ip[10] = ip[11] = 0;
  const auto sum = static_cast<uint16_t>(~test::internet_sum(ip, kIpv4));
  ip[10] = static_cast<uint8_t>(sum >> 8);
  ip[11] = static_cast<uint8_t>(sum);
}

uint8_t* append(rte_mbuf* packet, const std::vector<uint8_t>& frame) {
  auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
  std::memcpy(data, frame.data(), frame.size());
  packet->data_len = static_cast<uint16_t>(frame.size());
  packet->pkt_len = packet->data_len;
  return data;
}

}  // namespace

uint16_t port_on(uint16_t binding) {
  return static_cast<uint16_t>(kFirstPort + binding % kPorts);
}

LoadTraffic::LoadTraffic(MemoryGateway& gateway, std::vector<LoadPeer>& peers, unsigned bytes)
    : gateway_(gateway),
      peers_(peers),
      aead_(*Aead::create()),
      bytes_(bytes),
      senders_(peers.size()) {
  for (size_t peer = 0; peer < peers.size(); ++peer)
    aead_.expand(Suite::kAes128Gcm, peers[peer].to_gateway, senders_[peer].key);
  to_peer_ = test::ip_frame(kPortMac, kHostMac, inner_packet(lan_host(), inner_host_of(0), bytes));
  const std::vector<uint8_t> sealed(sizeof(wire::TransportHeader) + bytes + kAeadTagBytes);
  const auto datagram = test::udp_datagram(kFirstPort, kListenPort, sealed);
  to_lan_ =
      test::ip_frame(kPortMac, kHostMac,
                     test::ipv4_packet(outer_of(0, 0).address, gateway_outer().address, datagram));
  const auto inner = inner_packet(inner_host_of(0), lan_host(), bytes);
  std::ranges::copy(inner, to_lan_.begin() + static_cast<long>(kInnerAt));
}

uint32_t LoadTraffic::next_peer(uint32_t& at) const {
  at = static_cast<uint32_t>((at + kStride) % peers_.size());
  return at;
}

void LoadTraffic::give() {
  give_to_lan();
  give_to_wan();
}

void LoadTraffic::give_to_lan() {
  std::array<rte_mbuf*, kBurst> burst;
  if (rte_pktmbuf_alloc_bulk(gateway_.pool(), burst.data(), kBurst) != 0) return;
  for (rte_mbuf* packet : burst) {
    uint8_t* ip = append(packet, to_peer_) + kEthernet;
    set_address(ip, 16, inner_host_of(next_peer(next_to_peer_)));
    set_checksum(ip);
  }
  rte_ring_sp_enqueue_bulk(gateway_.received(kLan), reinterpret_cast<void**>(burst.data()), kBurst,
                           nullptr);
}

/// Sealed as the peers would, on the binding that each of them has just now.
void LoadTraffic::give_to_wan() {
  std::array<rte_mbuf*, kBurst> burst;
  std::array<AeadOp, kBurst> ops;
  if (rte_pktmbuf_alloc_bulk(gateway_.pool(), burst.data(), kBurst) != 0) return;
  for (size_t i = 0; i < kBurst; ++i) {
    const uint32_t number = next_peer(next_to_lan_);
    const uint64_t told = peers_[number].binding.load(std::memory_order_acquire);
    const ReceiverIndex index{static_cast<uint32_t>(told >> 32)};
    const auto binding = static_cast<uint16_t>(told);
    Sender& sender = senders_[number];
    if (sender.binding != binding) sender.sequence = 0;
    sender.binding = binding;
    uint8_t* frame = append(burst[i], to_lan_);
    uint8_t* ip = frame + kEthernet;
    set_address(ip, 12, outer_of(number, 0).address);
    set_checksum(ip);
    const uint16_t port = port_on(binding);
    ip[kIpv4] = static_cast<uint8_t>(port >> 8);
    ip[kIpv4 + 1] = static_cast<uint8_t>(port);
    const uint64_t counter = wire::make_counter(LaneId{binding}, sender.sequence++);
    const wire::TransportHeader header{wire::MessageType::kData, {}, index.value, counter};
    std::memcpy(frame + kOuter, &header, sizeof header);
    uint8_t* inner = frame + kInnerAt;
    set_address(inner, 12, inner_host_of(number));
    set_checksum(inner);
    ops[i] = {&sender.key, inner, bytes_, transport_nonce(index, counter)};
  }
  aead_.seal(ops);
  rte_ring_sp_enqueue_bulk(gateway_.received(kWan), reinterpret_cast<void**>(burst.data()), kBurst,
                           nullptr);
}

size_t LoadTraffic::take() {
  size_t taken = 0;
  std::array<void*, 2 * kBurst> packets;
  for (const uint16_t port : {kWan, kLan}) {
    unsigned got = 0;
    while ((got = rte_ring_sc_dequeue_burst(gateway_.sent(port), packets.data(), packets.size(),
                                            nullptr)) != 0) {
      rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(packets.data()), got);
      taken += got;
    }
  }
  return taken;
}

}  // namespace jvpn::perf
