// rte_lpm_rcu_qsbr_add() is still marked experimental in DPDK 22.11.
#define ALLOW_EXPERIMENTAL_API 1

#include "common/route_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_lcore.h>

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

Result<rte_hash*> make_hosts(const char* what, uint32_t entries, uint32_t key_bytes,
                             rte_rcu_qsbr* rcu) {
  const std::string name = unique_dpdk_name(what);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = std::max(entries, 8U);
  parameters.key_len = key_bytes;
  parameters.socket_id = static_cast<int>(rte_socket_id());
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  rte_hash* hosts = rte_hash_create(&parameters);
  if (hosts == nullptr) return memory_error("a host table", entries);
  rte_hash_rcu_config config{};
  config.v = rcu;
  if (rte_hash_rcu_qsbr_add(hosts, &config) == 0) return hosts;
  rte_hash_free(hosts);
  return memory_error("the reclaim queue of a host table", entries);
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
  auto v4 = make_hosts("hosts4", sizes_.hosts_v4, 4, rcu_);
  if (!v4) return v4.error();
  hosts_v4_ = *v4;
  auto v6 = make_hosts("hosts6", sizes_.hosts_v6, 16, rcu_);
  if (!v6) return v6.error();
  hosts_v6_ = *v6;
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
  rte_lpm6_free(prefixes_v6_.load(std::memory_order_relaxed));
}

Target RouteTable::match_v4(uint32_t address_be) const {
  uint32_t hop = 0;
  if (prefixes_v4_ != nullptr &&
      rte_lpm_lookup(prefixes_v4_, rte_be_to_cpu_32(address_be), &hop) == 0)
    return Target{hop};
  return Target{default_v4_.load(std::memory_order_relaxed)};
}

Target RouteTable::match_v6(const uint8_t address[16]) const {
  const rte_lpm6* table = prefixes_v6_.load(std::memory_order_acquire);
  uint32_t hop = 0;
  if (table != nullptr && rte_lpm6_lookup(table, address, &hop) == 0) return Target{hop};
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

Result<void> RouteTable::add_host(rte_hash* hosts, const Prefix& host, Target target) {
  const void* key = host.address.bytes.data();
  int error = rte_hash_add_key_data(hosts, key, to_data(target));
  if (error == -ENOSPC) {  // removed keys may still wait for a grace period
    rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);
    error = rte_hash_add_key_data(hosts, key, to_data(target));
  }
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
  if (v6_rules_.size() >= sizes_.prefixes_v6 && !v6_rules_.contains(prefix))
    return full_error(prefix, "the IPv6 prefix table", sizes_.prefixes_v6, -ENOSPC);
  v6_rules_[prefix] = target;
  v6_changed_ = true;
  return {};
}

void RouteTable::remove(const Prefix& prefix) {
  const Prefix network = prefix.network();
  const bool v4 = network.address.is_v4();
  if (network.is_host()) {
    rte_hash_del_key(v4 ? hosts_v4_ : hosts_v6_, network.address.bytes.data());
  } else if (network.length == 0) {
    (v4 ? default_v4_ : default_v6_).store(Target::kNoneBits, std::memory_order_relaxed);
  } else if (!v4) {
    v6_changed_ |= v6_rules_.erase(network) != 0;
  } else if (prefixes_v4_ != nullptr) {
    rte_lpm_delete(prefixes_v4_, rte_be_to_cpu_32(be32_of(network.address)), network.length);
  }
  changed();
}

Result<void> RouteTable::commit() {
  if (!v6_changed_) return {};
  auto built = build_v6();
  if (!built) return built.error();
  rte_lpm6* old = prefixes_v6_.exchange(*built, std::memory_order_acq_rel);
  v6_changed_ = false;
  changed();
  if (old == nullptr) return {};
  rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);
  rte_lpm6_free(old);
  return {};
}

Result<rte_lpm6*> RouteTable::build_v6() const {
  if (v6_rules_.empty()) return nullptr;
  rte_lpm6_config config{};
  config.max_rules = static_cast<uint32_t>(v6_rules_.size());
  config.number_tbl8s = kSpareTbl8s;
  for (const auto& [prefix, target] : v6_rules_)  // one group per started byte after the third
    config.number_tbl8s += prefix.length > 24 ? (prefix.length - 24U + 7) / 8 : 0;
  rte_lpm6* table =
      rte_lpm6_create(unique_dpdk_name("lpm6").c_str(), static_cast<int>(rte_socket_id()), &config);
  if (table == nullptr)
    return memory_error("an IPv6 prefix table (64 MiB and up)", v6_rules_.size());
  for (const auto& [prefix, target] : v6_rules_) {
    const int error = rte_lpm6_add(table, prefix.address.bytes.data(), prefix.length, target.bits);
    if (error == 0) continue;
    rte_lpm6_free(table);
    return full_error(prefix, "the IPv6 prefix table", v6_rules_.size(), error);
  }
  return table;
}

}  // namespace jvpn
