// ARP for IPv4 over Ethernet (RFC 826) as values: bytes in, bytes out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/ip.h"
#include "common/ip_header.h"
#include "control/neighbor/packet_writer.h"

namespace jvpn::neighbor {

struct ArpMessage {
  enum class Operation : uint16_t { kRequest = 1, kReply = 2 };
  Operation operation = Operation::kRequest;
  EtherAddress sender_mac{};
  IpAddress sender;
  EtherAddress target_mac{};
  IpAddress target;
};

inline constexpr EtherAddress kEverybody{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
inline constexpr size_t kArpBytes = 28;
inline constexpr size_t kArpFrameBytes = kEthernetHeaderBytes + kArpBytes;

/// Reads what follows the Ethernet header; trailing padding is fine. nullopt: not ARP for IPv4 over
/// Ethernet, too short, or a sender that is a group address.
std::optional<ArpMessage> parse_arp(std::span<const uint8_t> bytes);

/// Writes a whole frame of kArpFrameBytes to `destination`.
void write_arp_frame(std::span<uint8_t, kArpFrameBytes> out, const EtherAddress& destination,
                     const ArpMessage& message);

}  // namespace jvpn::neighbor
