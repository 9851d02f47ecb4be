// Whether somebody uses a NIC by the kernel's driver, so that taking it away would cut the host
// off.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/jvpn/doctor/host.h"

namespace jvpn::doctor {

/// The addresses of an interface, as text.
using AddressesOf = std::function<std::vector<std::string>(const std::string& interface)>;
/// As the kernel tells them now. What it refuses to tell counts as an address.
std::vector<std::string> kernel_addresses(const std::string& interface);

/// Why the device isn't to be touched, with what would free it; empty: nobody uses it. An interface
/// is in use that has an address or a route, that is part of a bond or bridge, or carries others. A
/// device that is no network card, or whose interface this network namespace doesn't have, counts
/// as used, too.
std::string nic_in_use(const Host& host, const AddressesOf& addresses, const std::string& pci);

}  // namespace jvpn::doctor
