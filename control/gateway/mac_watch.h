// Handshakes that workers drop because their first MAC is wrong were made for another key than
// ours, or are noise. Control never sees them, so this says what the counters mean. Control thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <spdlog/spdlog.h>

#include "common/drop.h"
#include "common/exchange.h"
#include "common/types.h"

namespace jvpn::gateway {

class MacWatch {
 public:
  /// Looks once a second, speaks once in ten at most.
  void poll(Millis now, std::span<const WorkerCounters* const> workers) {
    if (now < due_) return;
    due_ = now + Millis{1'000};
    uint64_t dropped = 0;
    for (const WorkerCounters* each : workers)
      dropped += each->drops[static_cast<size_t>(Drop::kBadMac)].load(std::memory_order_relaxed);
    if (dropped == told_) return;
    spdlog::warn(
        "{} handshakes were addressed to another key than this gateway's (bad_mac): does a "
        "client's "
        "profile have the wrong gateway.public_key?",
        dropped - told_);
    told_ = dropped;
    due_ = now + Millis{10'000};
  }

 private:
  Millis due_;
  uint64_t told_ = 0;
};

}  // namespace jvpn::gateway
