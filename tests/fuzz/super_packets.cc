// The client's segmentation: a super-packet as a TUN may hand it over is cut, or refused; packets
// as they may come out of a tunnel are joined, and cutting what was joined gives them back.
#include <algorithm>
#include <map>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tools/client/tunnel/coalescer.h"
#include "tools/client/tunnel/inner_packet.h"
#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::fuzz {
namespace {

using namespace client::tunnel;

class Packets : public PacketSink {
 public:
  uint8_t* next(size_t bytes) override {
    all.emplace_back(bytes);
    return all.back().data();
  }
  std::vector<Bytes> all;
};

/// Cuts again what is written to it.
class Cutter : public SuperPacketSink {
 public:
  void write(std::span<const iovec> pieces) override {
    VnetHeader header;
    ASSERT_EQ(pieces[0].iov_len, sizeof header);
    std::memcpy(&header, pieces[0].iov_base, sizeof header);
    Bytes packet;
    for (const iovec& piece : pieces.subspan(1)) {
      const auto* const data = static_cast<const uint8_t*>(piece.iov_base);
      packet.insert(packet.end(), data, data + piece.iov_len);
    }
    ASSERT_LE(packet.size(), kMaxSuperPacket);
    packet.shrink_to_fit();
    ASSERT_EQ(split(header, packet, packets), SplitVerdict::kDone);
  }
  Packets packets;
};

void check_split(Draw& draw) {
  const auto header = draw.number<VnetHeader>();
  const Bytes packet = draw.bytes(kMaxSuperPacket);
  const SplitPlan plan = plan_split(header, packet);
  Packets made;
  const SplitVerdict verdict = split(header, packet, made);
  EXPECT_EQ(verdict, plan.packets == 0 ? SplitVerdict::kMalformed : SplitVerdict::kDone);
  EXPECT_EQ(made.all.size(), plan.packets);
  size_t largest = 0;
  size_t bytes = 0;
  for (const Bytes& each : made.all) {
    largest = std::max(largest, each.size());
    bytes += each.size();
  }
  EXPECT_EQ(largest, plan.largest);
  EXPECT_EQ(bytes, plan.bytes);
}

/// The next packet: an earlier one as its flow goes on, or bytes of the input; spoilt, and with the
/// right total length where that makes it sound.
Bytes next_packet(Draw& draw, const std::vector<Bytes>& before) {
  const auto choice = draw.number();
  Bytes packet = (choice & 1) != 0 || before.empty() ? draw.bytes(draw.number())
                                                     : before[choice / 4 % before.size()];
  if ((choice & 2) != 0) draw.spoil(packet);
  if (packet.size() >= kIpv4HeaderBytes && packet[0] >> 4 == 4)
    store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
  if (packet.size() >= kIpv6HeaderBytes && packet[0] >> 4 == 6)
    store_be16(&packet[4], static_cast<uint16_t>(packet.size() - kIpv6HeaderBytes));
  return packet;
}

/// Without IPv4's identification, which cutting numbers anew, and the checksum that goes with it.
std::vector<Bytes> comparable(std::vector<Bytes> packets) {
  for (Bytes& packet : packets) {
    if (!is_ipv4(packet.data())) continue;
    std::fill_n(packet.begin() + 4, 2, uint8_t{0});
    std::fill_n(packet.begin() + 10, 2, uint8_t{0});
  }
  std::ranges::sort(packets);
  return packets;
}

void check_join(Draw& draw) {
  constexpr size_t kBurst = 24;
  std::vector<Bytes> before;
  for (size_t i = 0; i < kBurst && !draw.empty(); ++i) {
    Bytes packet = next_packet(draw, before);
    if (inner_family(packet) != Family::kNone) before.push_back(std::move(packet));
  }
  std::vector<Bytes> burst = before;
  Coalescer coalescer;
  for (Bytes& packet : burst) coalescer.add(packet);
  Cutter cutter;
  coalescer.flush(cutter);
  EXPECT_EQ(comparable(cutter.packets.all), comparable(before));
}

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jvpn::fuzz::Draw draw(data, size);
  if (draw.flip())
    jvpn::fuzz::check_split(draw);
  else
    jvpn::fuzz::check_join(draw);
  return 0;
}
