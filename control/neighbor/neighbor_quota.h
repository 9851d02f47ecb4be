// How many neighbour entries one port may have for one reason, so that no flood of one kind takes
// the room of another. Who doesn't answer makes room first. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "common/assert.h"
#include "common/ip.h"

namespace jvpn::neighbor {

/// Why an entry is there.
enum class EntryOrigin : uint8_t {
  kWatched,  ///< a session or a route goes by it: as many as those, no quota
  kFrame,    ///< a frame of ours was to leave, say an answer to a handshake
  kInner,    ///< a packet out of the tunnel was to reach it
};

class NeighborQuota {
 public:
  /// An entry was made; `number` rises from entry to entry.
  void add(uint64_t number, const IpAddress& address) {
    ++entries_;
    unresolved_.emplace(number, address);
  }
  void remove(uint64_t number) {
    JVPN_ASSERT(entries_ != 0, "add() came first");
    --entries_;
    unresolved_.erase(number);
  }
  void resolved(uint64_t number) { unresolved_.erase(number); }
  void failed(uint64_t number, const IpAddress& address) { unresolved_.emplace(number, address); }

  size_t entries() const { return entries_; }
  /// The oldest that has no answer; nullopt when all have.
  std::optional<IpAddress> oldest_unresolved() const {
    if (unresolved_.empty()) return std::nullopt;
    return unresolved_.begin()->second;
  }

 private:
  size_t entries_ = 0;
  std::map<uint64_t, IpAddress> unresolved_;  ///< by number
};

}  // namespace jvpn::neighbor
