// The host's name servers while the tunnel stands: set by the program that manages them here, and
// set back.
//
// systemd-resolved (`resolvectl`) keeps servers and domains with each device, so names are split
// among networks. resolvconf knows one order for all names: the tunnel's servers go first. A file
// in /run/jvpn says what was set, so that whoever comes after a crash takes it back.
#pragma once

#include <string>
#include <vector>

#include "common/profile.h"
#include "common/result.h"
#include "tools/shared/run_command.h"

namespace jvpn::client::attendant {

/// Who answers for the host's name servers.
enum class DnsMethod : uint8_t { kNone, kResolved, kResolvconf };

/// As this host has it now: systemd-resolved when it runs, else resolvconf when it is installed.
DnsMethod find_dns_method();

/// resolvconf's name for the device: with the first pattern of /etc/resolvconf/interface-order
/// before it (its text is `order`), as servers of such a record go before all others.
std::string resolvconf_record(const std::string& interface, const std::string& order);

/// What sets the servers, in this order. `record`: resolvconf_record().
std::vector<Command> commands_to_set(DnsMethod method, const std::string& interface,
                                     const std::string& record, const DnsProfile& dns);
/// And what sets them back.
std::vector<Command> commands_to_unset(DnsMethod method, const std::string& interface,
                                       const std::string& record);

/// Sets the servers of a device that is there. An Error: nothing is set, and why.
Result<void> set_dns(const std::string& interface, const DnsProfile& dns);
/// Sets back what set_dns() did, in this run or an earlier one. True: there was something.
Result<bool> unset_dns(const std::string& interface);

/// The file that names the host's own servers, not the tunnel's where that can be told.
std::string own_servers_file(const std::string& interface);

}  // namespace jvpn::client::attendant
