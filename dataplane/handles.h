// RAII for the DPDK objects that a gateway is made of, and the two that need more than one call to
// make. Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "common/result.h"

namespace jvpn {

struct FreePool {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
struct FreeDpdk {
  void operator()(void* memory) const { rte_free(memory); }
};
/// The packets left in a ring go back to their pools before it does.
struct FreeRing {
  void operator()(rte_ring* ring) const;
};

using Pool = std::unique_ptr<rte_mempool, FreePool>;
using Rcu = std::unique_ptr<rte_rcu_qsbr, FreeDpdk>;
using Ring = std::unique_ptr<rte_ring, FreeRing>;

/// A ring between one producer and one consumer that holds `packets`, a power of two or not.
Result<Ring> make_ring(const char* what, uint32_t packets);

/// An RCU variable for readers numbered from 0; none of them is registered yet.
Result<Rcu> make_rcu(uint32_t readers);

}  // namespace jvpn
