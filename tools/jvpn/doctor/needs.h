// What a profile needs of the machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/profile.h"
#include "common/result.h"

namespace jvpn::doctor {

/// A port on the PCI bus, which DPDK drives itself.
struct Nic {
  std::string port;  ///< its name in the profile
  std::string pci;
};

/// A port of DPDK's upon an interface of the kernel.
struct KernelPort {
  enum class Driver : uint8_t { kAfXdp, kAfPacket };
  std::string port;
  Driver driver = Driver::kAfXdp;
  std::string device;
  uint16_t mtu = 0;
  size_t queues = 1;
};

struct Needs {
  std::string profile;  ///< empty: none was given, and nothing is demanded
  bool gateway = true;
  uint32_t huge_megabytes = 0;  ///< 0: no hugepages
  std::vector<Nic> nics;
  std::vector<KernelPort> kernel_ports;
  uint32_t control = 0;
  std::vector<uint32_t> workers;
  bool polls = false;  ///< workers never sleep
  bool gcm = true;
  bool tun = false;
  bool pci = false;  ///< some NIC, or none is known
};

/// Of a profile's text: its keys' files aren't looked at. An Error has the parser's findings.
Result<Needs> needs_of_profile(const std::string& path);
/// What gateways and clients usually want.
Needs needs_of_any();

}  // namespace jvpn::doctor
