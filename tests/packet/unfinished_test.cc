#include "dataplane/unfinished.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/packet_builder.h"

namespace jvpn::test {
namespace {

/// An IP packet with so many bytes of TCP or UDP, whose checksum field, if it has one, is zero.
Bytes packet_of(bool ipv4, bool tcp, size_t transport) {
  const size_t header = ipv4 ? 20 : 40;
  Bytes packet(header + transport);
  for (size_t i = 0; i < packet.size(); ++i) packet[i] = static_cast<uint8_t>(i * 7 + 3);
  packet[0] = ipv4 ? 0x45 : 0x60;
  if (ipv4) packet[6] = packet[7] = 0;
  packet[ipv4 ? 9 : 6] = tcp ? 6 : 17;
  const size_t field = tcp ? 16 : 6;
  if (transport >= field + 2) store_checksum(&packet[header + field], 0);
  return packet;
}

TEST(UnfinishedChecksum, IsFinishedAndARightOneStays) {
  for (const bool ipv4 : {true, false}) {
    for (const bool tcp : {true, false}) {
      for (const size_t bytes : {20U, 21U, 500U, 1'399U}) {
        SCOPED_TRACE(testing::Message() << ipv4 << tcp << bytes);
        const size_t header = ipv4 ? 20 : 40;
        const uint8_t protocol = tcp ? 6 : 17;
        Bytes packet = packet_of(ipv4, tcp, bytes);
        const auto transport = [&] { return std::span<const uint8_t>(packet).subspan(header); };
        uint8_t* const field = &packet[header + (tcp ? 16 : 6)];
        const uint64_t pseudo = pseudo_header_sum(packet.data(), protocol, bytes);
        store_checksum(field, checksum_fold(pseudo));  // as the kernel leaves it
        finish_checksum(packet.data(), static_cast<uint32_t>(packet.size()), ipv4);
        EXPECT_EQ(checksum_finish(checksum_add(transport(), pseudo)), 0) << "it doesn't sum up";
        const Bytes finished = packet;
        finish_checksum(packet.data(), static_cast<uint32_t>(packet.size()), ipv4);
        EXPECT_EQ(packet, finished);
        packet.back() ^= 1;  // damage is for the receiver to find
        const Bytes damaged = packet;
        finish_checksum(packet.data(), static_cast<uint32_t>(packet.size()), ipv4);
        EXPECT_EQ(packet, damaged);
      }
    }
  }
}

TEST(UnfinishedChecksum, FragmentsShortPacketsAndOtherProtocolsStay) {
  std::vector<Bytes> cases{packet_of(true, true, 19), packet_of(true, false, 7)};
  cases.push_back(packet_of(true, true, 40));
  cases.back()[6] = 0x20;  // more fragments
  cases.push_back(packet_of(false, true, 40));
  cases.back()[6] = 58;
  for (Bytes packet : cases) {
    if (packet.size() > 20 + 18)
      store_checksum(&packet[20 + 16],
                     checksum_fold(pseudo_header_sum(packet.data(), 6, packet.size() - 20)));
    const Bytes before = packet;
    finish_checksum(packet.data(), static_cast<uint32_t>(packet.size()), packet[0] == 0x45);
    EXPECT_EQ(packet, before);
  }
}

}  // namespace
}  // namespace jvpn::test
