#include "perf/pipeline/bench_memory.h"

#include "perf/pipeline/memory_gateway.h"

namespace jvpn::perf {
namespace {

constexpr size_t kSpareMegabytes = 32;  ///< for what DPDK maps besides

BenchMemory choose_pages(size_t megabytes, bool small_pages) {
  if (small_pages) return {std::nullopt, "4 kB", "as asked: a gateway is faster on 2 MB pages"};
  auto reserved = HugepageReservation::make(megabytes + kSpareMegabytes);
  if (reserved) return {*std::move(reserved), "2 MB", ""};
  return {std::nullopt, "4 kB",
          "no 2 MB pages (" + reserved.error().message + "): TLB misses make everything slower"};
}

}  // namespace

Result<BenchMemory> start_bench(size_t megabytes, uint16_t workers, bool small_pages) {
  BenchMemory memory = choose_pages(megabytes, small_pages);
  auto started = start_eal(
      {.workers = workers, .megabytes = megabytes, .hugepages = memory.hugepages.has_value()});
  if (!started) return started.error();
  return memory;
}

}  // namespace jvpn::perf
