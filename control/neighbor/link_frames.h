// ARP and ND frames of our own on a port's link. Control thread only.
#pragma once

#include <cstdint>
#include <optional>

#include "common/port_info.h"
#include "control/neighbor/arp.h"
#include "control/neighbor/nd.h"
#include "control/publish/injector.h"

namespace jvpn::neighbor {

/// Hands a frame for `port` to a worker. False: no buffer, or no room in the worker's ring; both
/// are counted by the injector.
bool send_arp(publish::Injector& injector, uint16_t port, const EtherAddress& destination,
              const ArpMessage& message);
bool send_nd(publish::Injector& injector, uint16_t port, const EtherAddress& destination,
             const NdMessage& message);

/// The answer to a solicitation that came from the Ethernet address `from`: to the asker, or to all
/// nodes when it probes for duplicates. `source`: our address; `override`: RFC 4861, §7.2.4,
/// §7.2.8.
bool send_advertisement(publish::Injector& injector, const PortInfo& port, const EtherAddress& from,
                        const NdMessage& solicitation, const IpAddress& source, bool override);

/// Tells all nodes that `address` is at the port: a gratuitous ARP request (RFC 5227, §3), or an
/// unsolicited advertisement from our address `source` (RFC 4861, §7.2.6).
bool announce_address(publish::Injector& injector, const PortInfo& port, const IpAddress& address,
                      const IpAddress& source);

/// Our address on the port that speaks of `target`: one on its prefix, else any of its family.
std::optional<IpAddress> source_for(const PortInfo& port, const IpAddress& target);

}  // namespace jvpn::neighbor
