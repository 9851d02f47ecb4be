// Records of other runs as loads have read them, for the commit that follows each: it need not read
// again, because its write compares the revision. Bounded. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/bytes.h"
#include "control/cluster/kv_txn.h"
#include "control/cluster/records.h"

namespace jvpn::cluster {

/// A record, and the revision at which it was so.
struct KnownRecord {
  SessionRow row;
  Revision at = 0;
};

struct HashPeer {
  size_t operator()(const PublicKey& key) const { return load_u64(key.data()); }
};

class LoadedRecords {
 public:
  /// The oldest goes when there are more.
  static constexpr size_t kMost = 4'096;

  void keep(const PublicKey& peer, KnownRecord record) {
    const uint64_t number = ++latest_;
    records_.insert_or_assign(peer, Kept{std::move(record), number});
    order_.emplace_back(number, peer);
    if (order_.size() <= kMost) return;
    const auto [oldest, whose] = order_.front();
    order_.pop_front();
    const auto at = records_.find(whose);
    if (at != records_.end() && at->second.number == oldest) records_.erase(at);
  }
  /// It is forgotten by that.
  std::optional<KnownRecord> take(const PublicKey& peer) {
    auto kept = records_.extract(peer);
    return kept ? std::optional(std::move(kept.mapped().record)) : std::nullopt;
  }
  void clear() {
    records_.clear();
    order_.clear();
  }
  size_t size() const { return records_.size(); }

 private:
  struct Kept {
    KnownRecord record;
    uint64_t number = 0;
  };

  uint64_t latest_ = 0;
  std::unordered_map<PublicKey, Kept, HashPeer> records_;
  std::deque<std::pair<uint64_t, PublicKey>> order_;  ///< in which they came; some are gone
};

}  // namespace jvpn::cluster
