#include "tests/packet/heap_faults.h"

#include <cerrno>
#include <utility>

#include <dlfcn.h>
#include <rte_hash.h>
#include <rte_lpm.h>
#include <rte_malloc.h>

namespace jvpn::test {
namespace {

HeapFaults* active = nullptr;

bool fails() {
  return active != nullptr && active->next_fails();
}

/// The library's own function of that name.
template <typename Function>
Function* library(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

HeapFaults::HeapFaults(std::function<bool(uint64_t)> fails) : fails_(std::move(fails)) {
  active = this;
}

HeapFaults::~HeapFaults() {
  active = nullptr;
}

bool HeapFaults::next_fails() {
  const bool fails = fails_(calls_++);
  failed_ += fails ? 1 : 0;
  return fails;
}

}  // namespace jvpn::test

extern "C" {

void* rte_zmalloc(const char* type, size_t bytes, unsigned align) {
  static auto* const real = jvpn::test::library<decltype(rte_zmalloc)>("rte_zmalloc");
  return jvpn::test::fails() ? nullptr : real(type, bytes, align);
}

int rte_hash_add_key_data(const rte_hash* table, const void* key, void* data) {
  static auto* const real =
      jvpn::test::library<decltype(rte_hash_add_key_data)>("rte_hash_add_key_data");
  const bool grows = rte_hash_lookup(table, key) < 0;
  return grows && jvpn::test::fails() ? -ENOSPC : real(table, key, data);
}

int rte_lpm_add(rte_lpm* table, uint32_t ip, uint8_t depth, uint32_t next_hop) {
  static auto* const real = jvpn::test::library<decltype(rte_lpm_add)>("rte_lpm_add");
  uint32_t before = 0;
  const bool grows = rte_lpm_is_rule_present(table, ip, depth, &before) != 1;
  return grows && jvpn::test::fails() ? -ENOSPC : real(table, ip, depth, next_hop);
}

}  // extern "C"
