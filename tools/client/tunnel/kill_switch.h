// The kill switch's filter: what routes can't close. Routes and rules (routing.h) leave local
// networks reachable, or nobody on the link could even ask for our address, and a program may bind
// its socket to a device, past them. A table of nftables refuses both; it outlives the program,
// however that ends.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace jvpn::client::tunnel {

/// What nft(8) reads: packets of this host leave by the loopback device, by the tunnel, with
/// `mark`, or as what a link needs (DHCP, neighbour discovery); forwarded ones into or out of the
/// tunnel. All others are refused at once. Replaces what was set for that interface, in one step.
std::string kill_switch_rules(const std::string& interface, uint32_t mark);

/// Sets it by the program nft. An Error: it isn't set, and why.
Result<void> set_kill_switch(const std::string& interface, uint32_t mark);
/// Takes it away, whichever run has set it. True: there was one.
Result<bool> remove_kill_switch(const std::string& interface);

}  // namespace jvpn::client::tunnel
