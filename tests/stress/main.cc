// Runs GoogleTest inside DPDK's environment, with two workers' lcores on CPUs of their own where
// there are two, and tells ThreadSanitizer what it can't know of DPDK.
#include <array>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include "common/thread_sanitizer.h"
#include "tests/support/eal.h"

#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_suppressions() {
  return "# The library orders readers of a key and its writer by atomics that aren't "
         "instrumented;\n"
         "# only its calls of memcpy() and memcmp() are seen. Code of ours never runs in it.\n"
         "called_from_lib:librte_hash.so\n";
}
#endif

namespace {

std::array<rte_mempool_ops, RTE_MEMPOOL_MAX_OPS_IDX> pool_calls;

int put(rte_mempool* pool, void* const* objects, unsigned count) {
  for (unsigned i = 0; i < count; ++i) jvpn::order_before(objects[i]);
  return pool_calls[static_cast<size_t>(pool->ops_index)].enqueue(pool, objects, count);
}
int get(rte_mempool* pool, void** objects, unsigned count) {
  const int failed = pool_calls[static_cast<size_t>(pool->ops_index)].dequeue(pool, objects, count);
  for (unsigned i = 0; failed == 0 && i < count; ++i) jvpn::order_after(objects[i]);
  return failed;
}

/// A packet changes its thread by its pool, whose rings are not instrumented.
void order_packets_by_pools() {
  for (size_t i = 0; i < rte_mempool_ops_table.num_ops; ++i) {
    rte_mempool_ops& calls = rte_mempool_ops_table.ops[i];
    pool_calls[i] = calls;
    calls.enqueue = put;
    calls.dequeue = get;
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  order_packets_by_pools();
  const uint32_t second = std::thread::hardware_concurrency() > 1 ? 1 : 0;
  const auto eal = jvpn::test::start_eal({.workers = {0, second}, .megabytes = 512});
  if (eal) return RUN_ALL_TESTS();
  std::fprintf(stderr, "%s\n", eal.error().message.c_str());
  return 1;
}
