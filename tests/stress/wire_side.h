// What is around the gateway, on a thread of its own: peers that seal and open by OpenSSL, and the
// host on the LAN. It looks at every frame that leaves.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <rte_mbuf.h>

#include "common/message_mac.h"
#include "tests/stress/peers.h"
#include "tests/support/random.h"
#include "tests/support/ring_gateway.h"

namespace jvpn::test {

class WireSide {
 public:
  /// `gateway` and `generations` outlive it.
  WireSide(RingGateway& gateway, const Generations& generations, const MacKey& mac1, uint64_t seed);

  /// Offers packets and takes those that left, until `stop`.
  void run(const std::atomic<bool>& stop);

  std::atomic<uint64_t> delivered{0};  ///< from a peer to the LAN, relaxed
  std::atomic<uint64_t> sealed{0};     ///< from the LAN to a peer, relaxed
  std::atomic<uint64_t> crossed{0};    ///< from peer to peer, relaxed
  /// What no sound gateway sends. After run().
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  /// One index of a peer: what was sent under its present key.
  struct Sending {
    uint32_t generation = 0;
    std::array<uint64_t, kLanes> sequence{};
    uint64_t control = 0;
  };

  void offer();
  void offer_data(uint32_t peer, uint32_t place);
  void offer_control(uint32_t peer, uint32_t place);
  void offer_handshake(uint32_t peer);
  void offer_to_peer(uint32_t peer);
  void put(uint16_t port, size_t worker, const Bytes& frame);
  Bytes frame_of_peer(uint32_t peer, const Bytes& message) const;
  Sending& sending(uint32_t peer, uint32_t place);

  void take();
  void look_at(uint16_t port, size_t worker, const Bytes& frame);
  void look_at_tunnel(size_t worker, const Bytes& frame);
  void look_at_inner(const Bytes& inner, std::atomic<uint64_t>& counter);
  void answer_arp(uint16_t port, const Bytes& frame);
  void fault(const std::string& what);

  RingGateway& gateway_;
  const Generations& generations_;
  const MacKey& mac1_;
  MessageMac mac_;
  Random random_;
  std::array<std::array<Sending, kIndices>, kPeers> sending_{};
  std::set<std::pair<uint64_t, uint64_t>> arrived_;  ///< marks of packets from peers
  std::set<std::pair<uint32_t, uint64_t>> nonces_;   ///< that the gateway sealed under
  std::vector<std::string> faults_;
};

}  // namespace jvpn::test
