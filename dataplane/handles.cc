#include "dataplane/handles.h"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "common/dpdk_name.h"
#include "common/session_table.h"

namespace jvpn {

void FreeRing::operator()(rte_ring* ring) const {
  void* packet = nullptr;
  while (rte_ring_sc_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  rte_ring_free(ring);
}

Result<Ring> make_ring(const char* what, uint32_t packets) {
  rte_ring* ring =
      rte_ring_create(unique_dpdk_name(what).c_str(), packets, static_cast<int>(rte_socket_id()),
                      RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
  if (ring != nullptr) return Ring(ring);
  return Error{std::string("no ring of ") + std::to_string(packets) +
               " packets: " + rte_strerror(rte_errno)};
}

Result<Rcu> make_rcu(uint32_t readers) {
  const size_t bytes = rte_rcu_qsbr_get_memsize(readers);
  Rcu rcu(static_cast<rte_rcu_qsbr*>(rte_zmalloc("jvpn_rcu", bytes, kCacheLine)));
  if (rcu == nullptr || rte_rcu_qsbr_init(rcu.get(), readers) != 0)
    return Error{"no DPDK memory for the RCU variable: raise memory.megabytes"};
  return rcu;
}

}  // namespace jvpn
