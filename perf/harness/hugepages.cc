#include "perf/harness/hugepages.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include <fmt/format.h>

namespace jvpn::perf {
namespace {

constexpr size_t kPageMegabytes = 2;
constexpr size_t kSpareMegabytes = 32;  // for what DPDK maps besides

std::optional<size_t> read_count(const std::string& path) {
  size_t count = 0;
  std::ifstream file(path);
  if (!(file >> count)) return std::nullopt;
  return count;
}

bool write_count(const std::string& path, size_t count) {
  std::ofstream file(path);
  file << count << std::flush;
  return file.good();
}

}  // namespace

Result<std::shared_ptr<void>> reserve_hugepages(size_t megabytes, const std::string& folder) {
  const std::string total_file = folder + "/nr_hugepages";
  const std::string free_file = folder + "/free_hugepages";
  const auto total = read_count(total_file);
  const auto free = read_count(free_file);
  if (!total || !free) return Error{"the kernel has no 2 MB pages"};
  const size_t wanted = (megabytes + kPageMegabytes - 1) / kPageMegabytes;
  const size_t missing = wanted - std::min(wanted, *free);
  if (missing == 0) return std::shared_ptr<void>();
  if (!write_count(total_file, *total + missing))
    return Error{fmt::format("{}: can't be written: are you root?", total_file)};
  const std::shared_ptr<void> made(nullptr, [=](void*) {
    const size_t now = read_count(total_file).value_or(0);
    write_count(total_file, now - std::min(now, missing));
  });
  if (read_count(free_file).value_or(0) >= wanted) return made;
  return Error{fmt::format("the kernel can't give {} free pages of 2 MB", wanted)};
}

BenchPages choose_pages(size_t megabytes, bool small_pages) {
  if (small_pages) return {false, "as asked: a gateway is faster on 2 MB pages", nullptr};
  const auto reserved = reserve_hugepages(megabytes + kSpareMegabytes);
  if (reserved) return {true, "", *reserved};
  return {false,
          "no 2 MB pages (" + reserved.error().message + "): TLB misses make everything slower",
          nullptr};
}

}  // namespace jvpn::perf
