// A DPDK port from its profile: queues, RSS, offloads, MTU; stopped and closed by RAII.
// Control thread only. Workers poll its queues between start() and the destructor.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <rte_mempool.h>

#include "common/port_info.h"
#include "common/profile.h"
#include "common/result.h"

namespace jvpn {

/// The kernel's interface under a port, if there is one. Plain value; its owner closes it.
struct KernelInterface {
  std::string name;
  unsigned index = 0;   ///< the kernel's number of it
  int descriptor = -1;  ///< any socket, to ask by; -1: no such interface

  static KernelInterface open(unsigned index);
  /// Up, with a carrier (netdevice(7)). A system call.
  bool running() const;
  /// Why packets larger than its MTU will come from it, and the mend; empty when nothing says so.
  std::string merging() const;

 private:
  bool has(uint32_t command) const;
};

class Port {
 public:
  /// What a port gets from its surroundings.
  struct Needs {
    uint16_t number = 0;          ///< ours, in profile order
    uint16_t workers = 1;         ///< each gets its own transmit queue
    rte_mempool* pool = nullptr;  ///< what it receives into
  };

  /// Finds the device of the profile, configures its queues and starts it. Receive queues: as many
  /// as the profile, the workers and the device allow. Errors name the port and how to mend it.
  static Result<Port> open(const PortProfile& profile, const Needs& needs);
  Port(Port&& other) noexcept;
  Port& operator=(Port&&) = delete;
  ~Port();

  const PortInfo& info() const { return info_; }
  /// The link as it is now: of a kernel interface (AF_XDP, AF_PACKET) as the kernel sees it,
  /// because these drivers call it up always.
  bool link_up() const;

 private:
  explicit Port(PortInfo info) : info_(std::move(info)) {}
  PortInfo info_;
  KernelInterface kernel_;
  uint32_t xdp_program_ = 0;  ///< that its driver attached there; 0: none
  bool open_ = true;
};

/// Pool of packets with a PacketNote each and room for the tunnel's headers and tag around an inner
/// packet of `mtu`. `name` is unique in the process.
Result<rte_mempool*> make_pool(const std::string& name, uint32_t packets, uint16_t mtu);

}  // namespace jvpn
