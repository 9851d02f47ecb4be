// Creation of IPsec-MB managers, shared by the transport AEADs and the handshake MACs.
#pragma once

#include <memory>
#include <string>

#include <intel-ipsec-mb.h>

#include "common/result.h"

namespace jvpn {

struct FreeIpsecMbManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using IpsecMbManager = std::unique_ptr<IMB_MGR, FreeIpsecMbManager>;

/// A manager for the best instruction set of this CPU, its self-test passed. Fails without memory,
/// or when the CPU has none of the instruction sets.
inline Result<IpsecMbManager> create_ipsec_mb_manager() {
  IpsecMbManager manager(alloc_mb_mgr(0));
  if (manager == nullptr) return Error{"IPsec-MB: no memory for a multi-buffer manager"};
  init_mb_mgr_auto(manager.get(), nullptr);
  const int error = imb_get_errno(manager.get());
  if (error == 0) return manager;
  return Error{std::string("IPsec-MB: this CPU can't run it (SSE4.2 and AES-NI expected): ") +
               imb_get_strerror(error)};
}

}  // namespace jvpn
