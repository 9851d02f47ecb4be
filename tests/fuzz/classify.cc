// A frame as a port of either role sees it: the general classification, the short cuts that most
// frames take, and the inner packet's own checks agree, and nothing is read behind the frame.
#include "dataplane/classify.h"

#include <memory>
#include <optional>

#include "common/checksum.h"
#include "tests/fuzz/fuzz.h"
#include "tools/client/tunnel/inner_packet.h"

namespace jvpn::fuzz {
namespace {

PortView port_of(PortRole role) {
  PortInfo info;
  info.role = role;
  info.mac = {0x02, 0, 0, 0, 0, 0x01};
  info.mtu = 1'500;
  for (const char* text : {"192.0.2.1/24", "198.51.100.1/24", "2001:db8::1/64"})
    info.addresses.push_back(*Prefix::parse(text));
  return {info, wire::kDefaultPort};
}

void check_inner(std::span<const uint8_t> packet) {
  const auto bytes = static_cast<uint32_t>(packet.size());
  const uint32_t sound = sound_inner_bytes(packet.data(), bytes);
  EXPECT_LE(sound, bytes);
  if (bytes >= kIpv4HeaderBytes) {
    const uint32_t plain = plain_inner_bytes(packet.data(), bytes);
    if (plain != 0) {
      EXPECT_EQ(plain, sound);
    }
  }
  if (sound == 0) return;
  Bytes copy(packet.begin(), packet.begin() + sound);
  EXPECT_NE(client::tunnel::inner_family(copy), Family::kNone);
  flow_hash(copy.data(), sound);
  const bool v4 = is_ipv4(copy.data());
  const uint8_t hops = copy[v4 ? 8 : 7];
  EXPECT_EQ(spend_hop(copy.data(), v4), hops > 1);
  EXPECT_EQ(copy[v4 ? 8 : 7], hops > 1 ? hops - 1 : hops);
  EXPECT_EQ(sound_inner_bytes(copy.data(), sound), sound) << "the checksum is adjusted";
}

void check_frame(PortRole role, std::span<const uint8_t> frame, HeaderSum sum) {
  static const PortView outside = port_of(PortRole::kOutside);
  static const PortView inside = port_of(PortRole::kInside);
  const auto length = static_cast<uint32_t>(frame.size());
  const bool out = role == PortRole::kOutside;
  const Classified found = out ? classify_outside(outside, frame.data(), length, sum)
                               : classify_inside(inside, frame.data(), length, sum);
  const uint32_t plain = out ? plain_data(outside, frame.data(), length, sum)
                             : plain_inner(inside, frame.data(), length, sum);
  if (plain != 0) {
    EXPECT_EQ(found.verdict, out ? Verdict::kData : Verdict::kInner);
    EXPECT_EQ(found.bytes, plain);
    EXPECT_EQ(found.offset, out ? kPlainMessage : kEthernetHeaderBytes);
  }
  EXPECT_EQ(found.reason == Drop::kCount, found.verdict != Verdict::kDrop);
  EXPECT_LE(found.offset + found.bytes, length);
  if (found.verdict == Verdict::kInner) check_inner(frame.subspan(found.offset, found.bytes));
}

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jvpn;
  fuzz::Draw draw(data, size);
  const auto choice = draw.number();
  const auto role = (choice & 1) == 0 ? PortRole::kOutside : PortRole::kInside;
  const fuzz::Bytes frame = draw.bytes(size);
  fuzz::check_frame(role, frame, static_cast<HeaderSum>(choice / 2 % 3));
  fuzz::check_inner(frame);
  return 0;
}
