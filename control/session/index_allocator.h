// Receiver indices of this end: the low bits number a slot, the rest is random.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/types.h"

namespace jvpn::session {

/// Hands out indices and knows which peer each belongs to. Memory grows with the most that were
/// alive at once, never over 2^slot_bits entries. A freed slot is used again as late as possible.
class IndexAllocator {
 public:
  explicit IndexAllocator(uint32_t slot_bits) : slot_bits_(slot_bits) {}

  /// A new index for `owner`, whose upper bits come from `random`; never 0. nullopt: all slots
  /// taken.
  std::optional<ReceiverIndex> allocate(PeerId owner, uint32_t random) {
    const std::optional<uint32_t> slot = take_slot();
    if (!slot) return std::nullopt;
    uint32_t index = (random & ~mask()) | *slot;
    if (index == 0) index = mask() + 1;
    entries_[*slot] = {index, owner.value};
    ++in_use_;
    return ReceiverIndex{index};
  }

  /// Whose it is; nullopt when it isn't alive.
  std::optional<PeerId> owner(ReceiverIndex index) const {
    const uint32_t slot = index.value & mask();
    if (index.value == 0 || slot >= entries_.size()) return std::nullopt;
    if (entries_[slot].index != index.value) return std::nullopt;
    return PeerId{entries_[slot].link};
  }

  /// Few enough are in use for indices that only may be needed.
  bool plenty() const { return in_use_ < (uint64_t{mask()} + 1) / 4 * 3; }

  void release(ReceiverIndex index) {
    if (!owner(index)) return;
    const uint32_t slot = index.value & mask();
    entries_[slot] = {0, kNone};
    --in_use_;
    (last_free_ == kNone ? first_free_ : entries_[last_free_].link) = slot;
    last_free_ = slot;
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Entry {
    uint32_t index = 0;     ///< 0: free
    uint32_t link = kNone;  ///< owner's PeerId, or the next free slot
  };

  uint32_t mask() const { return (uint32_t{1} << slot_bits_) - 1; }

  std::optional<uint32_t> take_slot() {
    if (first_free_ != kNone) {
      const uint32_t slot = first_free_;
      first_free_ = entries_[slot].link;
      if (first_free_ == kNone) last_free_ = kNone;
      return slot;
    }
    if (entries_.size() > mask()) return std::nullopt;
    entries_.emplace_back();
    return static_cast<uint32_t>(entries_.size() - 1);
  }

  uint32_t slot_bits_;
  uint64_t in_use_ = 0;
  uint32_t first_free_ = kNone;
  uint32_t last_free_ = kNone;
  std::vector<Entry> entries_;
};

}  // namespace jvpn::session
