// What the route table answered lately, for one worker: most packets go where others just went.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <nmmintrin.h>
#include <rte_prefetch.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/route_table.h"

namespace jvpn {

/// One table for each family, in which an address has two places: the low bits of its CRC and, for
/// when something else stands there, the high ones. (A CRC is linear: addresses in a row share no
/// place, but those at some equal distances share few values of its low bits.) Entries hold for one
/// generation of the routes, which is never 0.
class RouteCache {
 public:
  /// For that many peers, each with a host route; 48 bytes an entry of both families. Throws
  /// std::bad_alloc.
  explicit RouteCache(uint32_t peers);

  /// Of the first place.
  void prefetch_v4(uint32_t address_be) const { rte_prefetch0(&v4_[low(crc_v4(address_be))]); }
  void prefetch_v6(const uint8_t* address) const { rte_prefetch0(&v6_[low(crc_v6(address))]); }

  /// nullptr when it isn't known under that generation.
  const Target* find_v4(uint32_t address_be, uint32_t generation) const {
    const uint32_t crc = crc_v4(address_be);
    const EntryV4& first = v4_[low(crc)];
    if (first.is(address_be, generation)) [[likely]]
      return &first.target;
    return find_second_v4(address_be, generation);
  }
  const Target* find_v6(const uint8_t* address, uint32_t generation) const {
    const uint32_t crc = crc_v6(address);
    const EntryV6& first = v6_[low(crc)];
    if (first.is(address, generation)) [[likely]]
      return &first.target;
    const EntryV6& second = v6_[high(crc)];
    return second.is(address, generation) ? &second.target : nullptr;
  }
  void keep_v4(uint32_t address_be, uint32_t generation, Target target) {
    JVPN_DEBUG_ASSERT(generation != 0, "generation 0 marks empty entries");
    place(v4_.get(), crc_v4(address_be), generation) = {key_v4(address_be, generation), target};
  }
  void keep_v6(const uint8_t* address, uint32_t generation, Target target) {
    JVPN_DEBUG_ASSERT(generation != 0, "generation 0 marks empty entries");
    place(v6_.get(), crc_v6(address), generation) = {load_u64(address), load_u64(address + 8),
                                                     generation, target};
  }

 private:
  static constexpr size_t kLeast = 4'096;
  static constexpr size_t kMost = size_t{1} << 20;  // 48 MiB
  static uint64_t key_v4(uint32_t address_be, uint32_t generation) {
    return uint64_t{generation} << 32 | address_be;
  }
  struct alignas(16) EntryV4 {
    uint64_t key = 0;
    Target target;

    bool is(uint32_t address_be, uint32_t generation) const {
      return key == key_v4(address_be, generation);
    }
    bool holds(uint32_t generation) const { return key >> 32 == generation; }
  };
  struct alignas(32) EntryV6 {
    uint64_t high = 0;
    uint64_t low = 0;
    uint32_t generation = 0;
    Target target;

    bool is(const uint8_t* address, uint32_t its_generation) const {
      return holds(its_generation) && high == load_u64(address) && low == load_u64(address + 8);
    }
    bool holds(uint32_t its_generation) const { return generation == its_generation; }
  };

  /// Out of line, for the registers of those that find theirs in the first place.
  [[gnu::noinline]] const Target* find_second_v4(uint32_t address_be, uint32_t generation) const {
    const EntryV4& second = v4_[high(crc_v4(address_be))];
    return second.is(address_be, generation) ? &second.target : nullptr;
  }

  static uint32_t crc_v4(uint32_t address_be) { return _mm_crc32_u32(0, address_be); }
  static uint32_t crc_v6(const uint8_t* address) {
    const uint64_t half = _mm_crc32_u64(0, load_u64(address));
    return static_cast<uint32_t>(_mm_crc32_u64(half, load_u64(address + 8)));
  }
  size_t low(uint32_t crc) const { return crc & mask_; }
  size_t high(uint32_t crc) const { return crc >> shift_; }

  /// The second place of two, if the first holds what is still true and the second doesn't.
  template <typename Entry>
  Entry& place(Entry* entries, uint32_t crc, uint32_t generation) const {
    Entry& first = entries[low(crc)];
    Entry& second = entries[high(crc)];
    const bool aside = first.holds(generation) && !second.holds(generation);
    return aside ? second : first;
  }

  struct Free {
    void operator()(void* memory) const;
  };

  size_t mask_;     ///< of the entries' number, a power of two
  unsigned shift_;  ///< leaves as many of 32 bits
  std::unique_ptr<EntryV4[], Free> v4_;
  std::unique_ptr<EntryV6[], Free> v6_;
};

}  // namespace jvpn
