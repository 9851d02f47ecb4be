// 2 MB pages for the length of a run. Control thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "common/result.h"

namespace jvpn::perf {

/// Pages that were asked of the kernel; those it had to make go back when this goes. Pages that are
/// still mapped then go with the process.
class HugepageReservation {
 public:
  /// At least `megabytes` in free pages from now on. Fails, with nothing changed, when the kernel
  /// has no such pages, can't give as many, or lets only root ask.
  static Result<HugepageReservation> make(size_t megabytes,
                                          const std::string& folder = kKernelFolder);
  HugepageReservation(HugepageReservation&& other) noexcept
      : folder_(std::move(other.folder_)), made_(std::exchange(other.made_, 0)) {}
  HugepageReservation& operator=(HugepageReservation&& other) noexcept {
    std::swap(folder_, other.folder_);
    std::swap(made_, other.made_);
    return *this;
  }
  ~HugepageReservation();

  static constexpr const char* kKernelFolder = "/sys/kernel/mm/hugepages/hugepages-2048kB";

 private:
  HugepageReservation(std::string folder, size_t made) : folder_(std::move(folder)), made_(made) {}
  std::string folder_;
  size_t made_;
};

/// The pages that a measurement runs on.
struct BenchPages {
  std::optional<HugepageReservation> reserved;  ///< put back with this
  std::string size;                             ///< `2 MB` or `4 kB`
  std::string note;                             ///< why not 2 MB pages; empty: they are
};
/// For `megabytes` and what DPDK maps besides. `small_pages`: don't try 2 MB pages.
BenchPages choose_pages(size_t megabytes, bool small_pages);

}  // namespace jvpn::perf
