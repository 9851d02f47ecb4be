// Inner destinations: host routes in rte_hash, shorter prefixes in rte_lpm and, of IPv6, in one
// more rte_hash, which is asked for each length in use, the longest first.
//
// Writer: the control core. Readers: workers, lock-free; all reclaim through the RCU variable. A
// change is one entry's, however many routes there are. One table answers for both directions:
// where a packet goes, and (by the route of its source) whether a peer may use that source.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include <rte_hash.h>
#include <rte_lpm.h>
#include <rte_rcu_qsbr.h>

#include "common/ip.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/types.h"

namespace jvpn {

/// Where an inner packet goes, in 21 bits: rte_lpm holds 24.
struct Target {
  enum class Kind : uint8_t {
    kPeer,     ///< seal for a peer
    kNextHop,  ///< out of an inside port to a resolved neighbour
    kGlean,    ///< on an inside port's link (or via a gateway there), neighbour not known yet
    kLocal,    ///< our own inside address
    kNone,     ///< no route
  };
  static constexpr uint32_t kNoneBits = (1U << 21) - 1;
  uint32_t bits = kNoneBits;

  static constexpr Target peer(PeerId p) { return {p.value}; }
  static constexpr Target next_hop(uint32_t n) { return {(1U << 20) | n}; }
  static constexpr Target glean(uint16_t port) { return {(1U << 20) | (1U << 18) | port}; }
  static constexpr Target local(uint16_t port) { return {(1U << 20) | (1U << 19) | port}; }

  constexpr Kind kind() const {
    switch (bits >> 18) {
      case 4:
        return Kind::kNextHop;
      case 5:
        return Kind::kGlean;
      case 6:
        return Kind::kLocal;
      case 7:
        return Kind::kNone;
      default:
        return Kind::kPeer;
    }
  }
  /// Peer, next hop or port number, by kind.
  constexpr uint32_t number() const { return bits & (kind() == Kind::kPeer ? 0xFFFFFU : 0x3FFFFU); }
  constexpr bool operator==(const Target&) const = default;
};
static_assert(kMaxPeers <= (1U << 20) && kMaxNextHops <= (1U << 18));

class RouteTable {
 public:
  struct Sizes {
    uint32_t hosts_v4 = 4096;
    uint32_t hosts_v6 = 4096;
    uint32_t prefixes_v4 = 4096;  ///< rte_lpm rules; 0: no IPv4 prefix table at all
    uint32_t prefixes_v6 = 4096;  ///< 0: no IPv6 prefixes
  };
  /// `rcu` outlives the table.
  static Result<std::unique_ptr<RouteTable>> create(const Sizes& sizes, rte_rcu_qsbr* rcu);
  ~RouteTable();
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // Workers: any thread registered with the RCU variable.
  Target lookup_v4(uint32_t address_be) const;
  Target lookup_v6(const uint8_t address[16]) const;
  /// Bulk forms; spans of one length ≤ 64. Host routes alone are worth it: they are looked up in
  /// one pass of prefetches.
  void lookup_v4(std::span<const uint32_t> addresses_be, std::span<Target> targets) const;
  void lookup_v6(std::span<const uint8_t* const> addresses, std::span<Target> targets) const;

  /// Changes, to a number never 0, with every change of a route. Taken before a lookup, it says for
  /// how long its answer holds.
  uint32_t generation() const { return generation_.load(std::memory_order_acquire); }

  /// What it was created with.
  const Sizes& sizes() const { return sizes_; }

  // Control core.
  /// Adds or replaces; host bits are ignored, length 0 is the default route. Fails when the table
  /// is full (the error names the size).
  Result<void> add(const Prefix& prefix, Target target);
  /// Removes; no effect when absent.
  void remove(const Prefix& prefix);

 private:
  RouteTable() = default;
  Result<void> allocate();
  int add_key(rte_hash* routes, const void* key, Target target);
  Result<void> add_host(rte_hash* hosts, const Prefix& host, Target target);
  Result<void> add_prefix_v4(const Prefix& prefix, Target target);
  Result<void> add_prefix_v6(const Prefix& prefix, Target target);
  void remove_prefix_v6(const Prefix& prefix);
  Target match_v4(uint32_t address_be) const;
  Target match_v6(const uint8_t address[16]) const;
  Result<void> add_route(const Prefix& prefix, Target target);
  void changed();

  rte_rcu_qsbr* rcu_ = nullptr;
  rte_hash* hosts_v4_ = nullptr;
  rte_hash* hosts_v6_ = nullptr;
  rte_lpm* prefixes_v4_ = nullptr;
  rte_hash* prefixes_v6_ = nullptr;
  std::array<std::atomic<uint64_t>, 2> lengths_v6_{};    ///< in use: a bit for each
  std::atomic<uint32_t> default_v4_{Target::kNoneBits};  ///< length 0, which LPM doesn't hold
  std::atomic<uint32_t> default_v6_{Target::kNoneBits};
  std::array<uint32_t, 128> count_v6_{};  ///< prefixes of each length; control core only
  uint32_t counted_v6_ = 0;               ///< of all
  Sizes sizes_{};
  alignas(64) std::atomic<uint32_t> generation_{1};
};

}  // namespace jvpn
