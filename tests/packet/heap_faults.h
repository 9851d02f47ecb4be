// DPDK's allocations, any of which a test may have fail: this program's rte_zmalloc(),
// rte_hash_add_key_data() and rte_lpm_add() stand before the library's. What replaces an entry
// takes no memory, and doesn't fail.
#pragma once

#include <cstdint>
#include <functional>

namespace jvpn::test {

/// While one lives, each call is numbered from 0 and fails when `fails` says so.
class HeapFaults {
 public:
  explicit HeapFaults(std::function<bool(uint64_t)> fails);
  ~HeapFaults();
  HeapFaults(const HeapFaults&) = delete;
  HeapFaults& operator=(const HeapFaults&) = delete;

  uint64_t failed() const { return failed_; }
  bool next_fails();

 private:
  std::function<bool(uint64_t)> fails_;
  uint64_t calls_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace jvpn::test
