// The traffic of `jvpn-perf jump-load`.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include <rte_mbuf.h>

#include "common/aead.h"
#include "common/limits.h"
#include "common/wire.h"
#include "perf/pipeline/bench_sessions.h"
#include "perf/pipeline/frames.h"
#include "perf/pipeline/memory_gateway.h"

namespace jvpn::perf {

/// What a peer has to know of its binding. Writer: the control thread; reader: the worker's lcore.
struct alignas(64) LoadPeer {
  /// Receiver index in the upper half, number of the binding in the lower.
  std::atomic<uint64_t> binding{0};
};

/// The peer's UDP port on a binding: another path each time.
inline uint16_t port_on(uint16_t binding) {
  constexpr uint16_t kPorts = 3;
  return static_cast<uint16_t>(kPeerPort + binding % kPorts);
}

/// Packets of many peers to a host on the LAN and back, made and taken on the worker's own lcore
/// between its polls.
class LoadTraffic {
 public:
  /// Both outlive it. `bytes`: of an inner packet.
  LoadTraffic(MemoryGateway& gateway, std::vector<LoadPeer>& peers, unsigned bytes)
      : gateway_(gateway),
        peers_(peers),
        aead_(*Aead::create()),
        frames_(bytes),
        senders_(peers.size()) {
    for (uint32_t peer = 0; peer < peers.size(); ++peer)
      aead_.expand(Suite::kAes128Gcm, key_of(peer), senders_[peer].key);
  }

  /// One burst to each port's receive queue; each packet of another session than the one before.
  void give() {
    give_burst(kLan, [this](auto& burst) {
      for (rte_mbuf* packet : burst) frames_.write_to_peer(packet, next_peer(next_to_peer_));
    });
    give_burst(kWan, [this](auto& burst) {
      std::array<AeadOp, kDefaultBurst> ops;
      for (size_t i = 0; i < kDefaultBurst; ++i) ops[i] = write_message(burst[i]);
      aead_.seal(ops);
    });
  }

  /// Takes what was sent and forgets it.
  void take() {
    std::array<void*, 2 * kDefaultBurst> packets;
    for (const uint16_t port : {kWan, kLan}) {
      unsigned got = 0;
      while ((got = rte_ring_sc_dequeue_burst(gateway_.sent(port), packets.data(), packets.size(),
                                              nullptr)) != 0)
        rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(packets.data()), got);
    }
  }

 private:
  struct Sender {
    AeadKey key;
    uint16_t binding = 0;
    uint64_t sequence = 0;
  };

  template <typename Fill>
  void give_burst(uint16_t port, Fill&& fill) {
    std::array<rte_mbuf*, kDefaultBurst> burst;
    if (rte_pktmbuf_alloc_bulk(gateway_.pool(), burst.data(), kDefaultBurst) != 0) return;
    fill(burst);
    rte_ring_sp_enqueue_bulk(gateway_.received(port), reinterpret_cast<void**>(burst.data()),
                             kDefaultBurst, nullptr);
  }

  /// To be sealed as the peer would, on the binding that it has just now.
  AeadOp write_message(rte_mbuf* packet) {
    const uint32_t number = next_peer(next_to_lan_);
    const uint64_t told = peers_[number].binding.load(std::memory_order_acquire);
    const ReceiverIndex index{static_cast<uint32_t>(told >> 32)};
    const auto binding = static_cast<uint16_t>(told);
    Sender& sender = senders_[number];
    if (sender.binding != binding) sender.sequence = 0;
    sender.binding = binding;
    const uint64_t counter = wire::make_counter(LaneId{binding}, sender.sequence++);
    uint8_t* inner = frames_.write_to_lan(packet, {number, port_on(binding), index, counter});
    return transport_op(sender.key, inner, frames_.inner_bytes());
  }

  uint32_t next_peer(uint32_t& at) const {
    constexpr uint32_t kStride = 7'919;  // prime: a burst's neighbours aren't so in memory
    return at = static_cast<uint32_t>((at + kStride) % peers_.size());
  }

  MemoryGateway& gateway_;
  std::vector<LoadPeer>& peers_;
  Aead aead_;
  FrameTemplates frames_;
  std::vector<Sender> senders_;
  uint32_t next_to_peer_ = 0;
  uint32_t next_to_lan_ = 0;
};

}  // namespace jvpn::perf
