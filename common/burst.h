// A burst of packets, or of what belongs to them: on the stack, and not initialised before it is
// written.
#pragma once

#include <cstddef>
#include <type_traits>

#include "common/assert.h"
#include "common/limits.h"

namespace jvpn {

static_assert(kMaxBurst <= 64, "bulk lookups of routes take 64 keys at most");

/// Up to kMaxBurst of anything plain.
template <typename Item>
class Burst {
  static_assert(std::is_trivially_copyable_v<Item> && std::is_trivially_destructible_v<Item>);

 public:
  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  void add(const Item& item) {
    JVPN_DEBUG_ASSERT(count_ < kMaxBurst, "a burst is full");
    items()[count_++] = item;
  }
  /// One more, to be written.
  Item& next() {
    JVPN_DEBUG_ASSERT(count_ < kMaxBurst, "a burst is full");
    return items()[count_++];
  }
  void truncate(size_t count) {
    JVPN_DEBUG_ASSERT(count <= kMaxBurst, "a burst holds no more");
    count_ = count;
  }
  /// Entries from `end` on are free.
  void truncate(const Item* end) {
    JVPN_DEBUG_ASSERT(end >= items() && end <= items() + kMaxBurst, "`end` is in this burst");
    count_ = static_cast<size_t>(end - items());
  }

  Item& operator[](size_t i) {
    JVPN_DEBUG_ASSERT(i < kMaxBurst, "a burst holds no more");
    return items()[i];
  }
  const Item& operator[](size_t i) const {
    JVPN_DEBUG_ASSERT(i < kMaxBurst, "a burst holds no more");
    return items()[i];
  }
  Item* begin() { return items(); }
  Item* end() { return items() + count_; }
  const Item* begin() const { return items(); }
  const Item* end() const { return items() + count_; }

 private:
  Item* items() { return reinterpret_cast<Item*>(memory_); }
  const Item* items() const { return reinterpret_cast<const Item*>(memory_); }

  size_t count_ = 0;
  alignas(64) std::byte memory_[kMaxBurst * sizeof(Item)];
};

/// For loops that drop some: `item` moves to `place`, not behind where it is, which steps on.
template <typename Item>
void keep(Item*& place, const Item& item) {
  if (place != &item) [[unlikely]]
    *place = item;
  ++place;
}

}  // namespace jvpn
