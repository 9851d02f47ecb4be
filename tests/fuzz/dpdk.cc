// DPDK's environment for the targets that need it, as for tests/packet/.
#include "tests/fuzz/dpdk.h"

#include "tests/support/eal.h"
#include "tests/support/must.h"

namespace jvpn::fuzz {

void need_dpdk() {
  static const Eal eal = test::must(test::start_eal({.workers = {0}, .megabytes = 512}));
}

}  // namespace jvpn::fuzz
