// What the control side and the wire side of the test agree on beforehand. While both run they
// share a few relaxed numbers, so that the test itself puts no order between the threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "common/aead.h"
#include "common/types.h"
#include "tests/support/packet_builder.h"
#include "tests/support/random.h"

namespace jvpn::test {

inline constexpr uint16_t kWorkers = 2;
inline constexpr uint32_t kPeers = 3;
inline constexpr uint32_t kIndices = 4;      ///< of a peer
inline constexpr uint16_t kLanes = 4;        ///< of an index, and of a binding
inline constexpr uint32_t kBindings = 8;     ///< under one sending key
inline constexpr uint8_t kSteadyHost = 5;    ///< behind each peer
inline constexpr uint8_t kChangingHost = 9;  ///< the same, now with a route and now without
inline constexpr Suite kSuite = Suite::kAes128Gcm;

enum class KeyUse : uint8_t { kToGateway, kControl, kFromGateway };

inline Random random_of(KeyUse use, uint32_t peer, uint32_t place, uint32_t generation) {
  return Random(uint64_t{generation} << 32 | peer << 16 | place << 8 | static_cast<uint64_t>(use));
}
inline RawKey key_of(KeyUse use, uint32_t peer, uint32_t place, uint32_t generation) {
  RawKey key;
  random_of(use, peer, place, generation).fill(key);
  return key;
}
/// Of the counters on the wire under that key.
inline uint64_t mask_of(KeyUse use, uint32_t peer, uint32_t place, uint32_t generation) {
  return ~random_of(use, peer, place, generation).next();
}

/// The index by which a peer sends; `place` below kIndices.
inline ReceiverIndex index_of(uint32_t peer, uint32_t place) {
  return ReceiverIndex{0xABC0'0000U | (peer * kIndices + place)};
}
/// What a frame from the gateway says of its record: peer and generation of its key, and by the
/// remote port that and the binding.
inline ReceiverIndex remote_index_of(uint32_t peer, uint32_t generation) {
  return ReceiverIndex{peer << 24 | generation};
}
inline uint16_t remote_port_of(uint32_t generation, uint32_t binding) {
  return static_cast<uint16_t>(1'024 + (generation * kBindings + binding) % 60'000);
}

/// A peer sends from the first of its two outside addresses.
inline IpAddress outer_of(uint32_t peer, uint32_t which) {
  return IpAddress::v4({192, 0, 2, static_cast<uint8_t>(10 + 10 * which + peer)});
}
inline IpAddress inner_of(uint32_t peer, uint8_t host) {
  return IpAddress::v4({10, 1, static_cast<uint8_t>(peer), host});
}
inline IpAddress lan_host() {
  return IpAddress::v4({10, 0, 0, 2});
}
/// Any neighbour's; they differ in the last byte.
inline Mac48 neighbor_mac(uint8_t number) {
  return {0x02, 0, 0, 0, 0x01, number};
}

/// Which key an index was installed with last; 0: none yet. Writer: the control side.
using Generations = std::array<std::array<std::atomic<uint32_t>, kIndices>, kPeers>;

}  // namespace jvpn::test
