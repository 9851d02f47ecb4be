// Says when packets are dropped because an offload merged them: TCP dies of it, and its ends don't
// know why. Control thread only.
#pragma once

#include <cstdint>
#include <string>

#include <spdlog/spdlog.h>

#include "common/drop.h"
#include "common/types.h"
#include "control/gateway/show_gateway.h"

namespace jvpn::gateway {

class MergedWatch {
 public:
  /// Looks once in ten seconds.
  void poll(Millis now, const DataplaneView& view) {
    if (now < due_) return;
    due_ = now + Millis{10'000};
    const uint64_t merged = count_drops(view, Drop::kMerged);
    if (merged == told_) return;
    std::string ports;
    for (const PortInfo& port : view.ports)
      if (!port.interface.empty()) ports += (ports.empty() ? "" : ", ") + port.interface;
    spdlog::warn(
        "{} packets larger than the MTU were dropped as `merged`: offloads of this host ({}: "
        "ethtool -K INTERFACE gro off lro off) or of the other end (tx off tso off gso off "
        "tx-udp-segmentation off) merged them",
        merged - told_, ports);
    told_ = merged;
  }

 private:
  Millis due_;
  uint64_t told_ = 0;  ///< packets, when it was last said
};

}  // namespace jvpn::gateway
