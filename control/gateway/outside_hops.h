// The neighbours that sessions leave by, each one SharedHop for all of its sessions: when its
// link-layer address changes, workers see it by one store. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "common/port_info.h"
#include "common/session_table.h"
#include "control/neighbor/neighbors.h"
#include "control/publish/reclaimer.h"
#include "control/publish/slab.h"

namespace jvpn::gateway {

class OutsideHops {
 public:
  /// Everything passed outlives it, and no worker reads a TxRecord any more when it goes.
  OutsideHops(std::span<const PortInfo> ports, neighbor::Neighbors& neighbors,
              publish::Reclaimer& reclaimer)
      : ports_(ports), neighbors_(neighbors), reclaimer_(reclaimer) {}
  ~OutsideHops();
  OutsideHops(const OutsideHops&) = delete;
  OutsideHops& operator=(const OutsideHops&) = delete;

  /// Sets memory aside for the next join(). False: there is none.
  bool reserve();
  /// One more record goes by it, and keeps it resolved until as many leave() calls. nullptr
  /// without memory.
  const SharedHop* join(Millis now, const neighbor::NeighborKey& key);
  /// After the store that hides the record.
  void leave(const neighbor::NeighborKey& key);
  /// Its address is another now, or (nullopt) not known any more.
  void neighbor_changed(const neighbor::NeighborKey& key, const std::optional<EtherAddress>& mac);

  size_t size() const { return hops_.size(); }

 private:
  struct Entry {
    SharedHop* hop = nullptr;
    uint32_t users = 0;
  };

  std::span<const PortInfo> ports_;
  neighbor::Neighbors& neighbors_;
  publish::Reclaimer& reclaimer_;
  publish::Slab slab_;
  SharedHop* reserved_ = nullptr;
  std::map<neighbor::NeighborKey, Entry> hops_;
};

}  // namespace jvpn::gateway
