#include "dataplane/xdp_program.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>

namespace jvpn {
namespace {

uint32_t mode_flag(uint8_t attach_mode) {
  switch (attach_mode) {
    case XDP_ATTACHED_DRV:
      return XDP_FLAGS_DRV_MODE;
    case XDP_ATTACHED_HW:
      return XDP_FLAGS_HW_MODE;
    default:
      return XDP_FLAGS_SKB_MODE;
  }
}

}  // namespace

uint32_t XdpProgram::attached(unsigned interface) {
  uint32_t id = 0;
  if (interface == 0 || bpf_xdp_query_id(static_cast<int>(interface), 0, &id) != 0) return 0;
  return id;
}

void XdpProgram::detach(unsigned interface, uint32_t id) {
  LIBBPF_OPTS(bpf_xdp_query_opts, found);
  if (bpf_xdp_query(static_cast<int>(interface), 0, &found) != 0 || found.prog_id != id) return;
  bpf_xdp_detach(static_cast<int>(interface), mode_flag(found.attach_mode), nullptr);
}

}  // namespace jvpn
