// Frames as ports give them to a shipping worker: any bytes, and packets and control messages that
// a peer with the right keys has sealed. Each packet ends up sent, with control, or dropped by
// name.
#include <cstring>
#include <memory>

#include "tests/fuzz/dpdk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/packet/worker_fixture.h"

namespace jvpn::fuzz {
namespace {

using test::kLan;
using test::kWan;

/// Two peers of one gateway, for one input.
class Gateway {
 public:
  explicit Gateway(test::Lab& lab) : lab_(lab) {}

  void play(Draw& draw) {
    constexpr int kMostSteps = 12;
    for (int i = 0; i < kMostSteps && !draw.empty(); ++i) step(draw);
  }

 private:
  void step(Draw& draw) {
    const uint64_t dropped = lab_.all_drops();
    const auto choice = draw.number();
    const test::TestSession& peer = (choice & 0x80) != 0 ? v6_ : v4_;
    switch (choice % 8) {
      case 0:
        lab_.receive(kWan, whole_frame(draw));
        break;
      case 1:
        lab_.receive(kLan, whole_frame(draw));
        break;
      case 2: {  // any JVP message
        Bytes message = draw.bytes(draw.number<uint16_t>() % 1'400);
        note_index_of_reset(message);
        lab_.receive(kWan, peer.frame_at_peer(message));
        break;
      }
      case 3: {
        const auto counter = draw.number<uint64_t>();
        lab_.receive(kWan,
                     peer.control_at_peer(draw.bytes(draw.number<uint16_t>() % 1'400), counter));
        break;
      }
      case 4: {  // a sound inner packet, and what the input changes of it
        Bytes inner = inner_packet(draw, peer, true);
        Bytes frame = peer.seal_at_peer(inner, draw.number() % 5, draw.number<uint16_t>());
        if (draw.below(8) == 0) draw.spoil(frame);
        lab_.receive(kWan, frame);
        break;
      }
      case 5: {
        Bytes frame =
            test::ip_frame(test::kPortMac, test::kHostMac, inner_packet(draw, peer, false));
        if (draw.below(4) == 0) draw.spoil(frame);
        lab_.receive(kLan, frame);
        break;
      }
      case 6: {
        PacketNote note;
        note.action = draw.flip() ? InjectAction::kTransmit : InjectAction::kRoute;
        note.port = static_cast<uint16_t>(draw.below(2));
        lab_.inject(inner_packet(draw, peer, false), note);
        break;
      }
      default: {
        Bytes inner = draw.bytes(draw.number<uint16_t>() % 1'400);
        lab_.receive(kWan, peer.seal_at_peer(inner, draw.number() % 5, draw.number<uint16_t>()));
      }
    }
    lab_.poll();
    lab_.poll();
    account(dropped);
  }

  /// A reset passes that names an index which we send to.
  void note_index_of_reset(const Bytes& message) {
    uint32_t index = 0;
    if (message.size() != sizeof(wire::Reset)) return;
    std::memcpy(&index, &message[offsetof(wire::Reset, receiver)], sizeof index);
    lab_.sessions().note_sends_to(PeerId{1}, ReceiverIndex{index});
  }

  /// At least as much as a port gives.
  static Bytes whole_frame(Draw& draw) {
    Bytes frame = draw.bytes(draw.number<uint16_t>() % 1'500);
    if (frame.empty()) frame.resize(1);
    return frame;
  }

  static Bytes inner_packet(Draw& draw, const test::TestSession& peer, bool from_peer) {
    const Family family = draw.flip() ? Family::kIpv4 : Family::kIpv6;
    const IpAddress there = peer.host(family);
    const IpAddress here = test::address(family == Family::kIpv4 ? "10.0.0.2" : "fd00::2");
    const Bytes payload =
        test::udp_datagram(1, 2, test::payload_of(draw.number<uint16_t>() % 1'500));
    Bytes packet =
        from_peer ? test::ip_packet(there, here, payload) : test::ip_packet(here, there, payload);
    if (!draw.flip()) return packet;
    draw.spoil(std::span(packet).first(family == Family::kIpv4 ? 20 : 40));
    if (draw.flip() && packet[0] >> 4 == 4 && (packet[0] & 0x0FU) * 4 <= packet.size())
      test::fix_ipv4_checksum(packet, 0);
    return packet;
  }

  /// The one packet that came is somewhere, and at one place. (Control hears of some that are
  /// dropped, for an ICMP error.)
  void account(uint64_t dropped) {
    size_t found = lab_.sent(kWan).size() + lab_.sent(kLan).size();
    for (size_t punt = 0; punt < kPuntClasses; ++punt)
      found += lab_.punted(PuntClass{static_cast<uint8_t>(punt)}).size();
    EXPECT_LE(found, 1U);
    EXPECT_GE(found + lab_.all_drops() - dropped, 1U) << "lost without a name";
    EXPECT_EQ(rte_mempool_in_use_count(lab_.pool()), 0U) << "packets leaked";
  }

  test::Lab& lab_;
  test::TestSession v4_{lab_, {.peer = PeerId{1}}};
  test::TestSession v6_{
      lab_, {.peer = PeerId{2}, .suite = Suite::kChaCha20Poly1305, .outer = Family::kIpv6}};
};

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jvpn;
  fuzz::need_dpdk();
  static test::Lab lab;
  fuzz::Draw draw(data, size);
  fuzz::Gateway(lab).play(draw);
  return 0;
}
