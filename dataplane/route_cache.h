// What the route table answered lately, for one worker: most packets go where others just went.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <nmmintrin.h>
#include <rte_prefetch.h>

#include "common/route_table.h"
#include "dataplane/bytes.h"

namespace jvpn {

/// Direct-mapped, one table for each family. Entries hold for one generation of the routes.
class RouteCache {
 public:
  /// For that many peers, each with a host route; 48 bytes an entry of both families. Throws
  /// std::bad_alloc.
  explicit RouteCache(uint32_t peers);

  void prefetch_v4(uint32_t address_be) const { rte_prefetch0(&v4_[place_v4(address_be)]); }
  void prefetch_v6(const uint8_t* address) const { rte_prefetch0(&v6_[place_v6(address)]); }

  /// nullptr when it isn't known under that generation.
  const Target* find_v4(uint32_t address_be, uint32_t generation) const {
    const EntryV4& entry = v4_[place_v4(address_be)];
    return entry.key == key_v4(address_be, generation) ? &entry.target : nullptr;
  }
  const Target* find_v6(const uint8_t* address, uint32_t generation) const {
    const EntryV6& entry = v6_[place_v6(address)];
    const bool same = entry.generation == generation && entry.high == load_u64(address) &&
                      entry.low == load_u64(address + 8);
    return same ? &entry.target : nullptr;
  }
  void keep_v4(uint32_t address_be, uint32_t generation, Target target) {
    v4_[place_v4(address_be)] = {key_v4(address_be, generation), target};
  }
  void keep_v6(const uint8_t* address, uint32_t generation, Target target) {
    v6_[place_v6(address)] = {load_u64(address), load_u64(address + 8), generation, target};
  }

 private:
  static constexpr size_t kLeast = 4'096;
  static constexpr size_t kMost = size_t{1} << 18;  // 12 MiB
  struct alignas(16) EntryV4 {
    uint64_t key = 0;
    Target target;
  };
  struct alignas(32) EntryV6 {
    uint64_t high = 0;
    uint64_t low = 0;
    uint32_t generation = 0;
    Target target;
  };

  /// Generations are never 0, so no key is.
  static uint64_t key_v4(uint32_t address_be, uint32_t generation) {
    return uint64_t{generation} << 32 | address_be;
  }
  size_t place_v4(uint32_t address_be) const { return _mm_crc32_u32(0, address_be) & mask_; }
  size_t place_v6(const uint8_t* address) const {
    return _mm_crc32_u64(_mm_crc32_u64(0, load_u64(address)), load_u64(address + 8)) & mask_;
  }

  struct Free {
    void operator()(void* memory) const;
  };

  size_t mask_;  ///< of the entries' number, a power of two
  std::unique_ptr<EntryV4[], Free> v4_;
  std::unique_ptr<EntryV6[], Free> v6_;
};

}  // namespace jvpn
