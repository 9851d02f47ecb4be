// IPv6 neighbour solicitation and advertisement (RFC 4861 §4.3, §4.4) as values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/ip.h"
#include "common/ip_header.h"
#include "control/neighbor/packet_writer.h"

namespace jvpn::neighbor {

struct NdMessage {
  enum class Type : uint8_t { kSolicitation = 135, kAdvertisement = 136 };
  Type type = Type::kSolicitation;
  bool solicited = false;  ///< advertisement: it answers a solicitation
  bool override = false;   ///< advertisement: replaces a known address
  IpAddress source;        ///< :: when a host probes for duplicates
  IpAddress destination;
  IpAddress target;
  std::optional<EtherAddress>
      link_layer;  ///< source's in a solicitation, target's in an advertisement
};

/// Ethernet, IPv6, ICMPv6, one link-layer address option.
inline constexpr size_t kNdFrameBytes = kEthernetHeaderBytes + kIpv6HeaderBytes + 24 + 8;

/// Reads an IPv6 packet. nullopt unless it passes every check of RFC 4861 §7.1 (hop limit 255,
/// checksum, code 0, lengths, target no group address, options longer than 0).
std::optional<NdMessage> parse_nd(std::span<const uint8_t> packet);

/// Writes a whole frame; `message.link_layer` is the sending port's own address.
void write_nd_frame(std::span<uint8_t, kNdFrameBytes> out, const EtherAddress& destination,
                    const NdMessage& message);

/// ff02::1:ffXX:XXXX for an address, and the Ethernet group of an IPv6 group.
IpAddress solicited_node_group(const IpAddress& address);
EtherAddress ethernet_group_of(const IpAddress& group);

bool is_multicast(const IpAddress& address);
bool is_unspecified(const IpAddress& address);

}  // namespace jvpn::neighbor
