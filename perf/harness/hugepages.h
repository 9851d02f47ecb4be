// 2 MB pages for the length of a run. Control thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/result.h"

namespace jvpn::perf {

inline constexpr const char* kKernelPages = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// At least `megabytes` in free pages from now on. Those that the kernel had to make go back with
/// the last copy of what is returned; pages that are still mapped then go with the process. Fails,
/// with nothing changed, when the kernel has no such pages, can't give as many, or lets only root
/// ask.
Result<std::shared_ptr<void>> reserve_hugepages(size_t megabytes,
                                                const std::string& folder = kKernelPages);

/// The pages that a measurement runs on.
struct BenchPages {
  bool huge = false;
  std::string note;                ///< why not 2 MB pages; empty: they are
  std::shared_ptr<void> reserved;  ///< put back with this

  const char* size() const { return huge ? "2 MB" : "4 kB"; }
};
/// For `megabytes` and what DPDK maps besides. `small_pages`: don't try 2 MB pages.
BenchPages choose_pages(size_t megabytes, bool small_pages);

}  // namespace jvpn::perf
