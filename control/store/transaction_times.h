// How long a store's latest transactions took, for an operator. One thread adds, another one reads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "control/session/ownership.h"

namespace jvpn::store {

class TransactionTimes {
 public:
  void add(uint64_t us) {
    const size_t count = count_.load(std::memory_order_relaxed);
    const auto bounded = static_cast<uint32_t>(std::min<uint64_t>(us, UINT32_MAX));
    us_[count % kKept].store(bounded, std::memory_order_relaxed);
    count_.store(count + 1, std::memory_order_release);
  }
  /// Of the latest ones. Some may be replaced meanwhile.
  void tell(session::OwnershipStatus& status) const {
    status.all_transactions = count_.load(std::memory_order_acquire);
    const size_t kept = std::min<size_t>(status.all_transactions, kKept);
    std::array<uint32_t, kKept> sorted{};
    for (size_t i = 0; i < kept; ++i) sorted[i] = us_[i].load(std::memory_order_relaxed);
    std::sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(kept));
    status.transactions = kept;
    if (kept == 0) return;
    status.p50_us = sorted[(kept - 1) / 2];
    status.p99_us = sorted[(kept * 99 + 99) / 100 - 1];
  }

 private:
  static constexpr size_t kKept = 256;

  std::array<std::atomic<uint32_t>, kKept> us_{};
  std::atomic<size_t> count_{0};
};

}  // namespace jvpn::store
