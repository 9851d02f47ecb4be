// What the route table answered lately, for one worker: most packets go where others just went.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <rte_hash_crc.h>

#include "common/route_table.h"
#include "dataplane/bytes.h"

namespace jvpn {

/// An inner address of either family, in a form that is quick to compare.
struct RouteKey {
  uint64_t high = 0;
  uint64_t low = 0;
  bool ipv4 = false;

  static RouteKey v4(uint32_t address_be) { return {0, address_be, true}; }
  static RouteKey v6(const uint8_t* address) {
    return {load_u64(address), load_u64(address + 8), false};
  }
  bool operator==(const RouteKey&) const = default;
};

/// Direct-mapped. Entries hold for one generation of the routes.
class RouteCache {
 public:
  /// nullptr when it isn't known under that generation.
  const Target* find(const RouteKey& key, uint32_t generation) const {
    const Entry& entry = entries_[place(key)];
    return entry.generation == generation && entry.key == key ? &entry.target : nullptr;
  }
  void keep(const RouteKey& key, uint32_t generation, Target target) {
    entries_[place(key)] = {key, generation, target};
  }

 private:
  static constexpr size_t kEntries = 4'096;  // 128 KiB: a share of the core's second cache
  struct alignas(32) Entry {
    RouteKey key;
    uint32_t generation = 0;
    Target target;
  };

  static size_t place(const RouteKey& key) {
    return rte_hash_crc_8byte(key.low, rte_hash_crc_8byte(key.high, 0)) % kEntries;
  }

  std::array<Entry, kEntries> entries_{};
};

}  // namespace jvpn
