#include "perf/jvpn_perf/load_traffic.h"

#include "common/wire.h"

namespace jvpn::perf {
namespace {

constexpr uint16_t kPorts = 3;
constexpr uint32_t kStride = 7'919;  // prime: neighbours in a burst aren't neighbours in memory

}  // namespace

uint16_t port_on(uint16_t binding) {
  return static_cast<uint16_t>(kPeerPort + binding % kPorts);
}

LoadTraffic::LoadTraffic(MemoryGateway& gateway, std::vector<LoadPeer>& peers, unsigned bytes)
    : gateway_(gateway),
      peers_(peers),
      aead_(*Aead::create()),
      frames_(bytes),
      senders_(peers.size()) {
  for (size_t peer = 0; peer < peers.size(); ++peer)
    aead_.expand(Suite::kAes128Gcm, peers[peer].to_gateway, senders_[peer].key);
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
  std::array<rte_mbuf*, kDefaultBurst> burst;
  if (rte_pktmbuf_alloc_bulk(gateway_.pool(), burst.data(), kDefaultBurst) != 0) return;
  for (rte_mbuf* packet : burst) frames_.write_to_peer(packet, next_peer(next_to_peer_));
  rte_ring_sp_enqueue_bulk(gateway_.received(kLan), reinterpret_cast<void**>(burst.data()),
                           kDefaultBurst, nullptr);
}

/// Sealed as the peers would, on the binding that each of them has just now.
void LoadTraffic::give_to_wan() {
  std::array<rte_mbuf*, kDefaultBurst> burst;
  std::array<AeadOp, kDefaultBurst> ops;
  if (rte_pktmbuf_alloc_bulk(gateway_.pool(), burst.data(), kDefaultBurst) != 0) return;
  for (size_t i = 0; i < kDefaultBurst; ++i) {
    const uint32_t number = next_peer(next_to_lan_);
    const uint64_t told = peers_[number].binding.load(std::memory_order_acquire);
    const ReceiverIndex index{static_cast<uint32_t>(told >> 32)};
    const auto binding = static_cast<uint16_t>(told);
    Sender& sender = senders_[number];
    if (sender.binding != binding) sender.sequence = 0;
    sender.binding = binding;
    const uint64_t counter = wire::make_counter(LaneId{binding}, sender.sequence++);
    uint8_t* inner = frames_.write_to_lan(burst[i], {number, port_on(binding), index, counter});
    ops[i] = transport_op(sender.key, inner, frames_.inner_bytes());
  }
  aead_.seal(ops);
  rte_ring_sp_enqueue_bulk(gateway_.received(kWan), reinterpret_cast<void**>(burst.data()),
                           kDefaultBurst, nullptr);
}

size_t LoadTraffic::take() {
  size_t taken = 0;
  std::array<void*, 2 * kDefaultBurst> packets;
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
