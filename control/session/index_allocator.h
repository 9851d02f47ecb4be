// Receiver indices of this end: the low bits number a slot, the rest is random; the slot is, too,
// so that the indices of one session tell nothing of each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/types.h"

namespace jvpn::session {

/// Hands out indices and knows which peer each belongs to. Memory grows with the most that were
/// alive at once, by some slots a call and without moving any, never over 2^slot_bits entries. An
/// index may come again: its serial never does.
class IndexAllocator {
 public:
  static constexpr uint64_t kSlotsAtOnce = 1'024;

  explicit IndexAllocator(uint32_t slot_bits) : slot_bits_(slot_bits) {}

  /// A new index for `owner`; never 0. Its upper bits come from `random`, whose lower ones choose
  /// among the free slots. nullopt: all slots taken.
  std::optional<ReceiverIndex> allocate(PeerId owner, uint32_t random) {
    const std::optional<uint32_t> slot = take_slot(random & mask());
    if (!slot) return std::nullopt;
    uint32_t index = (random & ~mask()) | *slot;
    if (index == 0) index = mask() + 1;
    entries_[*slot] = {index, owner, ++last_serial_};
    return ReceiverIndex{index};
  }

  /// Whose it is; nullopt when it isn't alive.
  std::optional<PeerId> owner(ReceiverIndex index) const {
    const Entry* const entry = find(index);
    return entry == nullptr ? std::nullopt : std::optional(entry->owner);
  }

  /// Tells this use of the index from every other; 0 when it isn't alive.
  uint64_t serial(ReceiverIndex index) const {
    const Entry* const entry = find(index);
    return entry == nullptr ? 0 : entry->serial;
  }

  /// Whose it was before it was released, as long as nobody has the slot again.
  std::optional<PeerId> former_owner(ReceiverIndex index) const {
    const Entry* const entry = entry_of(index);
    if (entry == nullptr || entry->serial != 0) return std::nullopt;
    return entry->owner;
  }

  /// Few enough are in use for indices that only may be needed.
  bool plenty() const { return entries_.size() - free_.size() < (uint64_t{mask()} + 1) / 4 * 3; }

  /// There are so far.
  size_t slots() const { return entries_.size(); }

  void release(ReceiverIndex index) {
    if (find(index) == nullptr) return;
    const uint32_t slot = index.value & mask();
    entries_[slot].serial = 0;
    free_.push_back(slot);
  }

 private:
  struct Entry {
    uint32_t index = 0;  ///< the slot's latest; 0: it had none
    PeerId owner;
    uint64_t serial = 0;  ///< 0: free
  };

  uint32_t mask() const { return (uint32_t{1} << slot_bits_) - 1; }

  const Entry* entry_of(ReceiverIndex index) const {
    const uint32_t slot = index.value & mask();
    if (index.value == 0 || slot >= entries_.size()) return nullptr;
    return entries_[slot].index == index.value ? &entries_[slot] : nullptr;
  }

  const Entry* find(ReceiverIndex index) const {
    const Entry* const entry = entry_of(index);
    return entry == nullptr || entry->serial == 0 ? nullptr : entry;
  }

  /// One of the free slots, of which there are many, as long as there may be more.
  std::optional<uint32_t> take_slot(uint32_t choice) {
    if (free_.size() <= entries_.size() / 4) grow();
    if (free_.empty()) return std::nullopt;
    uint32_t& chosen = free_[(uint64_t{choice} * free_.size()) >> slot_bits_];
    const uint32_t slot = chosen;
    chosen = free_.back();
    free_.pop_back();
    return slot;
  }

  void grow() {
    const uint64_t before = entries_.size();
    const uint64_t most = uint64_t{mask()} + 1;
    const uint64_t after = std::min(before + kSlotsAtOnce, most);
    entries_.resize(after);
    for (uint64_t slot = before; slot < after; ++slot) free_.push_back(static_cast<uint32_t>(slot));
  }

  uint32_t slot_bits_;
  uint64_t last_serial_ = 0;
  std::deque<Entry> entries_;
  std::deque<uint32_t> free_;
};

}  // namespace jvpn::session
