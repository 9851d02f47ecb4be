// The XDP program that AF_XDP's driver attaches to a kernel interface, so that it goes away with
// the port also from a program that has given up its privileges: libxdp wants CAP_SYS_ADMIN to look
// at it, the kernel only CAP_NET_ADMIN to detach it. Control thread only.
#pragma once

#include <cstdint>

namespace jvpn {

class XdpProgram {
 public:
  /// What is attached to the kernel's interface of this number now; 0: no interface, no program.
  static uint32_t attached(unsigned interface);
  /// Detaches the program `id`, if it is still that one. Without an effect where the kernel
  /// refuses: the driver then tries it by itself.
  static void detach(unsigned interface, uint32_t id);
};

}  // namespace jvpn
