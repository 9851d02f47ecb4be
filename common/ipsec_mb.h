// IPsec-MB as the program uses it: a copy of the library, and managers made by it. Shared by the
// transport AEADs and the handshake MACs.
#pragma once

#include <memory>
#include <string>

#include <intel-ipsec-mb.h>

#include "common/result.h"

namespace jvpn {

/// A copy of the library: the functions that make a manager, which holds pointers to all others.
/// The default is the copy that the program is linked with. IPsec-MB 1.3 stores to a variable of
/// its own in every call, so threads of one copy take a cache line from each other in each packet;
/// a thread that lives by the packet has a copy to itself (dataplane/own_ipsec_mb.h).
struct IpsecMb {
  decltype(&alloc_mb_mgr) allocate = alloc_mb_mgr;
  decltype(&free_mb_mgr) free = free_mb_mgr;
  decltype(&init_mb_mgr_auto) init = init_mb_mgr_auto;
  decltype(&imb_get_errno) get_errno = imb_get_errno;
  decltype(&imb_get_strerror) get_strerror = imb_get_strerror;
  std::shared_ptr<void> loaded;  ///< keeps a copy that was loaded; none: the linked one
};

struct FreeIpsecMbManager {
  IpsecMb library;
  void operator()(IMB_MGR* manager) const { library.free(manager); }
};
using IpsecMbManager = std::unique_ptr<IMB_MGR, FreeIpsecMbManager>;

/// A manager for the best instruction set of this CPU, its self-test passed. Fails without memory,
/// or when the CPU has none of the instruction sets.
inline Result<IpsecMbManager> create_ipsec_mb_manager(const IpsecMb& library = {}) {
  IpsecMbManager manager(library.allocate(0), {library});
  if (manager == nullptr) return Error{"IPsec-MB: no memory for a multi-buffer manager"};
  library.init(manager.get(), nullptr);
  const int error = library.get_errno(manager.get());
  if (error == 0) return manager;
  return Error{std::string("IPsec-MB: this CPU can't run it (SSE4.2 and AES-NI expected): ") +
               library.get_strerror(error)};
}

}  // namespace jvpn
