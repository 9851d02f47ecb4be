#include "control/neighbor/arp.h"

#include <algorithm>

#include "common/bytes.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr uint16_t kHardwareEthernet = 1;

EtherAddress mac_at(const uint8_t* at) {
  EtherAddress mac;
  std::copy_n(at, mac.size(), mac.begin());
  return mac;
}

IpAddress v4_at(const uint8_t* at) {
  return IpAddress::v4({at[0], at[1], at[2], at[3]});
}

}  // namespace

std::optional<ArpMessage> parse_arp(std::span<const uint8_t> bytes) {
  if (bytes.size() < kArpBytes) return std::nullopt;
  const uint8_t* at = bytes.data();
  if (load_be16(at) != kHardwareEthernet || load_be16(at + 2) != kEtherTypeIpv4)
    return std::nullopt;
  if (at[4] != 6 || at[5] != 4) return std::nullopt;
  const uint16_t operation = load_be16(at + 6);
  if (operation != 1 && operation != 2) return std::nullopt;
  if (at[8] & 1) return std::nullopt;
  ArpMessage message;
  message.operation = static_cast<ArpMessage::Operation>(operation);
  message.sender_mac = mac_at(at + 8);
  message.sender = v4_at(at + 14);
  message.target_mac = mac_at(at + 18);
  message.target = v4_at(at + 24);
  return message;
}

void write_arp_frame(std::span<uint8_t, kArpFrameBytes> out, const EtherAddress& destination,
                     const ArpMessage& message) {
  uint8_t* at =
      out.data() + write_ethernet(out.data(), destination, message.sender_mac, kEtherTypeArp);
  store_be16(at, kHardwareEthernet);
  store_be16(at + 2, kEtherTypeIpv4);
  at[4] = 6;
  at[5] = 4;
  store_be16(at + 6, static_cast<uint16_t>(message.operation));
  std::copy(message.sender_mac.begin(), message.sender_mac.end(), at + 8);
  std::copy_n(message.sender.bytes.begin(), 4, at + 14);
  std::copy(message.target_mac.begin(), message.target_mac.end(), at + 18);
  std::copy_n(message.target.bytes.begin(), 4, at + 24);
}

}  // namespace jvpn::neighbor
