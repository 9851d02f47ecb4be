#include "control/gateway/outside_hops.h"

#include <utility>

#include "common/assert.h"

namespace jvpn::gateway {

OutsideHops::~OutsideHops() {
  reclaimer_.flush();  // deferred frees point into the slab
}

bool OutsideHops::reserve() {
  if (reserved_ == nullptr) reserved_ = slab_.make<SharedHop>();
  return reserved_ != nullptr;
}

const SharedHop* OutsideHops::join(Millis now, const neighbor::NeighborKey& key) {
  const auto known = hops_.find(key);
  if (known != hops_.end()) {
    ++known->second.users;
    return known->second.hop;
  }
  if (!reserve()) return nullptr;
  const Entry entry{std::exchange(reserved_, nullptr), 1};
  hops_.emplace(key, entry);
  if (const auto mac = neighbors_.watch(now, key)) entry.hop->set(*mac, ports_[key.port].mac);
  return entry.hop;
}

void OutsideHops::leave(const neighbor::NeighborKey& key) {
  const auto at = hops_.find(key);
  JVPN_ASSERT(at != hops_.end() && at->second.users != 0, "join() came first");
  if (--at->second.users != 0) return;
  neighbors_.unwatch(key);
  reclaimer_.defer([this, hop = at->second.hop] { slab_.destroy(hop); });
  hops_.erase(at);
}

void OutsideHops::neighbor_changed(const neighbor::NeighborKey& key,
                                   const std::optional<EtherAddress>& mac) {
  const auto at = hops_.find(key);
  if (at == hops_.end()) return;
  if (mac) {
    at->second.hop->set(*mac, ports_[key.port].mac);
  } else {
    at->second.hop->forget();
  }
}

}  // namespace jvpn::gateway
