// rte_lpm_rcu_qsbr_add() is still marked experimental in DPDK 22.11.
#define ALLOW_EXPERIMENTAL_API 1

#include "common/route_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <string>

#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "common/bytes.h"
#include "common/dpdk_name.h"

namespace jvpn {
namespace {

constexpr size_t kBulk = RTE_HASH_LOOKUP_BULK_MAX;
constexpr uint32_t kSpareTbl8s = 16;

// A Target travels in the hash's data pointer.
void* to_data(Target target) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): rte_hash holds pointers
  return reinterpret_cast<void*>(uintptr_t{target.bits});
}
Target from_data(const void* data) {
  return Target{static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data))};
}

uint32_t be32_of(const IpAddress& address) {
  uint32_t word;
  __builtin_memcpy(&word, address.bytes.data(), sizeof word);
  return word;
}

Error memory_error(const std::string& what, uint64_t entries) {
  return Error{"no DPDK memory for " + what + " of " + std::to_string(entries) + " routes (" +
               rte_strerror(rte_errno) + "): raise memory.megabytes"};
}

Error full_error(const Prefix& prefix, const std::string& what, uint64_t entries, int error) {
  return Error{"route " + to_string(prefix) + ": " + what + " of " + std::to_string(entries) +
               " entries can't take it: " + rte_strerror(-error)};
}

/// An IPv6 prefix as a key: its bits, then a one, then zeros; no two prefixes have the same.
struct KeyV6 {
  uint64_t high;
  uint64_t low;
};

KeyV6 key_of(uint64_t high, uint64_t low, unsigned length) {
  const uint64_t mark = uint64_t{1} << (63 - length % 64);
  const uint64_t bits = ~(mark | (mark - 1));
  if (length < 64) return {(high & bits) | mark, 0};
  return {high, (low & bits) | mark};
}

KeyV6 key_of(const Prefix& prefix) {
  const uint8_t* bytes = prefix.address.bytes.data();
  return key_of(load_be64(bytes), load_be64(bytes + 8), prefix.length);
}

Result<rte_hash*> make_routes(const char* what, uint32_t entries, uint32_t key_bytes,
                              rte_rcu_qsbr* rcu) {
  const std::string name = unique_dpdk_name(what);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = std::max(entries, 8U);
  parameters.key_len = key_bytes;
  parameters.socket_id = static_cast<int>(rte_socket_id());
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  rte_hash* routes = rte_hash_create(&parameters);
  if (routes == nullptr) return memory_error("a hash table", entries);
  rte_hash_rcu_config config{};
  config.v = rcu;
  if (rte_hash_rcu_qsbr_add(routes, &config) == 0) return routes;
  rte_hash_free(routes);
  return memory_error("the reclaim queue of a hash table", entries);
}

Result<rte_lpm*> make_prefixes_v4(uint32_t rules, rte_rcu_qsbr* rcu) {
  rte_lpm_config config{};
  config.max_rules = rules;
  config.number_tbl8s = std::min<uint32_t>(rules + kSpareTbl8s, 1U << 24);
  rte_lpm* table =
      rte_lpm_create(unique_dpdk_name("lpm4").c_str(), static_cast<int>(rte_socket_id()), &config);
  if (table == nullptr) return memory_error("an IPv4 prefix table (64 MiB and up)", rules);
  rte_lpm_rcu_config reclaim{};
  reclaim.v = rcu;
  if (rte_lpm_rcu_qsbr_add(table, &reclaim) == 0) return table;
  rte_lpm_free(table);
  return memory_error("the reclaim queue of an IPv4 prefix table", rules);
}

}  // namespace

Result<std::unique_ptr<RouteTable>> RouteTable::create(const Sizes& sizes, rte_rcu_qsbr* rcu) {
  std::unique_ptr<RouteTable> table(new RouteTable);
  table->rcu_ = rcu;
  table->sizes_ = sizes;
  if (auto done = table->allocate(); !done) return done.error();
  return table;
}

Result<void> RouteTable::allocate() {
  auto v4 = make_routes("hosts4", sizes_.hosts_v4, 4, rcu_);
  if (!v4) return v4.error();
  hosts_v4_ = *v4;
  auto v6 = make_routes("hosts6", sizes_.hosts_v6, 16, rcu_);
  if (!v6) return v6.error();
  hosts_v6_ = *v6;
  if (sizes_.prefixes_v6 != 0) {
    auto nets = make_routes("nets6", sizes_.prefixes_v6, sizeof(KeyV6), rcu_);
    if (!nets) return nets.error();
    prefixes_v6_ = *nets;
  }
  if (sizes_.prefixes_v4 == 0) return {};
  auto prefixes = make_prefixes_v4(sizes_.prefixes_v4, rcu_);
  if (!prefixes) return prefixes.error();
  prefixes_v4_ = *prefixes;
  return {};
}

RouteTable::~RouteTable() {
  rte_hash_free(hosts_v4_);
  rte_hash_free(hosts_v6_);
  rte_lpm_free(prefixes_v4_);
  rte_hash_free(prefixes_v6_);
}

Target RouteTable::match_v4(uint32_t address_be) const {
  uint32_t hop = 0;
  if (prefixes_v4_ != nullptr &&
      rte_lpm_lookup(prefixes_v4_, rte_be_to_cpu_32(address_be), &hop) == 0)
    return Target{hop};
  return Target{default_v4_.load(std::memory_order_relaxed)};
}

Target RouteTable::match_v6(const uint8_t address[16]) const {
  const uint64_t high = load_be64(address);
  const uint64_t low = load_be64(address + 8);
  for (const unsigned half : {1U, 0U}) {
    uint64_t lengths = lengths_v6_[half].load(std::memory_order_acquire);
    while (lengths != 0) {
      const unsigned longest = 63 - static_cast<unsigned>(std::countl_zero(lengths));
      lengths ^= uint64_t{1} << longest;
      const KeyV6 key = key_of(high, low, half * 64 + longest);
      void* data = nullptr;
      if (rte_hash_lookup_data(prefixes_v6_, &key, &data) >= 0) return from_data(data);
    }
  }
  return Target{default_v6_.load(std::memory_order_relaxed)};
}

Target RouteTable::lookup_v4(uint32_t address_be) const {
  void* data = nullptr;
  if (rte_hash_lookup_data(hosts_v4_, &address_be, &data) >= 0) return from_data(data);
  return match_v4(address_be);
}

Target RouteTable::lookup_v6(const uint8_t address[16]) const {
  void* data = nullptr;
  if (rte_hash_lookup_data(hosts_v6_, address, &data) >= 0) return from_data(data);
  return match_v6(address);
}

void RouteTable::lookup_v4(std::span<const uint32_t> addresses_be,
                           std::span<Target> targets) const {
  const void* keys[kBulk];
  void* data[kBulk];
  uint64_t hits = 0;
  for (size_t i = 0; i < addresses_be.size(); ++i) keys[i] = &addresses_be[i];
  rte_hash_lookup_bulk_data(hosts_v4_, keys, static_cast<uint32_t>(addresses_be.size()), &hits,
                            data);
  for (size_t i = 0; i < addresses_be.size(); ++i)
    targets[i] = (hits >> i) & 1 ? from_data(data[i]) : match_v4(addresses_be[i]);
}

void RouteTable::lookup_v6(std::span<const uint8_t* const> addresses,
                           std::span<Target> targets) const {
  const void* keys[kBulk];
  void* data[kBulk];
  uint64_t hits = 0;
  std::copy(addresses.begin(), addresses.end(), keys);
  rte_hash_lookup_bulk_data(hosts_v6_, keys, static_cast<uint32_t>(addresses.size()), &hits, data);
  for (size_t i = 0; i < addresses.size(); ++i)
    targets[i] = (hits >> i) & 1 ? from_data(data[i]) : match_v6(addresses[i]);
}

Result<void> RouteTable::add(const Prefix& prefix, Target target) {
  auto done = add_route(prefix, target);
  changed();
  return done;
}

void RouteTable::changed() {
  const uint32_t next = generation_.load(std::memory_order_relaxed) + 1;
  generation_.store(next == 0 ? 1 : next, std::memory_order_release);
}

Result<void> RouteTable::add_route(const Prefix& prefix, Target target) {
  const Prefix network = prefix.network();
  if (network.is_host())
    return add_host(network.address.is_v4() ? hosts_v4_ : hosts_v6_, network, target);
  if (network.length == 0) {
    auto& route = network.address.is_v4() ? default_v4_ : default_v6_;
    route.store(target.bits, std::memory_order_relaxed);
    return {};
  }
  return network.address.is_v4() ? add_prefix_v4(network, target) : add_prefix_v6(network, target);
}

int RouteTable::add_key(rte_hash* routes, const void* key, Target target) {
  const int error = rte_hash_add_key_data(routes, key, to_data(target));
  if (error != -ENOSPC) return error;
  rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);  // for keys that were removed
  return rte_hash_add_key_data(routes, key, to_data(target));
}

Result<void> RouteTable::add_host(rte_hash* hosts, const Prefix& host, Target target) {
  const int error = add_key(hosts, host.address.bytes.data(), target);
  if (error == 0) return {};
  const bool v4 = host.address.is_v4();
  return full_error(host, "the host table", v4 ? sizes_.hosts_v4 : sizes_.hosts_v6, error);
}

Result<void> RouteTable::add_prefix_v4(const Prefix& prefix, Target target) {
  if (prefixes_v4_ == nullptr) return full_error(prefix, "the IPv4 prefix table", 0, -ENOSPC);
  const uint32_t address = rte_be_to_cpu_32(be32_of(prefix.address));
  int error = rte_lpm_add(prefixes_v4_, address, prefix.length, target.bits);
  if (error == -ENOSPC) {  // removed groups may still wait for a grace period
    rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);
    error = rte_lpm_add(prefixes_v4_, address, prefix.length, target.bits);
  }
  if (error == 0) return {};
  return full_error(prefix, "the IPv4 prefix table", sizes_.prefixes_v4, error);
}

Result<void> RouteTable::add_prefix_v6(const Prefix& prefix, Target target) {
  const KeyV6 key = key_of(prefix);
  const bool known = prefixes_v6_ != nullptr && rte_hash_lookup(prefixes_v6_, &key) >= 0;
  const bool full = !known && counted_v6_ >= sizes_.prefixes_v6;
  const int error = full ? -ENOSPC : add_key(prefixes_v6_, &key, target);
  if (error != 0) return full_error(prefix, "the IPv6 prefix table", sizes_.prefixes_v6, error);
  if (known) return {};
  ++counted_v6_;
  if (count_v6_[prefix.length]++ == 0)
    lengths_v6_[prefix.length / 64].fetch_or(uint64_t{1} << prefix.length % 64,
                                             std::memory_order_release);
  return {};
}

void RouteTable::remove_prefix_v6(const Prefix& prefix) {
  const KeyV6 key = key_of(prefix);
  if (prefixes_v6_ == nullptr || rte_hash_del_key(prefixes_v6_, &key) < 0) return;
  --counted_v6_;
  if (--count_v6_[prefix.length] == 0)
    lengths_v6_[prefix.length / 64].fetch_and(~(uint64_t{1} << prefix.length % 64),
                                              std::memory_order_relaxed);
}

void RouteTable::remove(const Prefix& prefix) {
  const Prefix network = prefix.network();
  const bool v4 = network.address.is_v4();
  if (network.is_host()) {
    rte_hash_del_key(v4 ? hosts_v4_ : hosts_v6_, network.address.bytes.data());
  } else if (network.length == 0) {
    (v4 ? default_v4_ : default_v6_).store(Target::kNoneBits, std::memory_order_relaxed);
  } else if (!v4) {
    remove_prefix_v6(network);
  } else if (prefixes_v4_ != nullptr) {
    rte_lpm_delete(prefixes_v4_, rte_be_to_cpu_32(be32_of(network.address)), network.length);
  }
  changed();
}

}  // namespace jvpn
