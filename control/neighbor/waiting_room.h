// How many packets wait for their neighbours' addresses, in all entries together and of each peer.
// Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "common/assert.h"
#include "common/types.h"

namespace jvpn::neighbor {

class WaitingRoom {
 public:
  static constexpr size_t kPeersShare = 4;  ///< of the room a peer may have one part in so many

  explicit WaitingRoom(size_t packets) : packets_(packets) {}

  /// One more, of `from` if a peer sent it, for an entry that has `beside` already. An entry may
  /// have as many as there is room left, so that one takes half and those after it find some.
  /// False: there is no room for it.
  bool enter(size_t beside, std::optional<PeerId> from) {
    JVPN_ASSERT(waiting_ <= packets_, "no more wait than may");
    if (beside >= packets_ - waiting_) return false;
    if (from) {
      const auto theirs = of_.find(from->value);
      if (theirs != of_.end() && theirs->second >= packets_ / kPeersShare) return false;
      ++of_[from->value];
    }
    ++waiting_;
    return true;
  }
  /// One that entered waits no more.
  void leave(std::optional<PeerId> from) {
    JVPN_ASSERT(waiting_ > 0, "each was counted when it began to wait");
    --waiting_;
    if (!from) return;
    const auto theirs = of_.find(from->value);
    JVPN_ASSERT(theirs != of_.end(), "each was counted when it began to wait");
    if (--theirs->second == 0) of_.erase(theirs);
  }

 private:
  size_t packets_;
  size_t waiting_ = 0;
  std::map<uint32_t, size_t> of_;  ///< of those, by peer; none is 0
};

}  // namespace jvpn::neighbor
