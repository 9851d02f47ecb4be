// What workers hand to control's slow path: ARP, neighbour discovery, pings, packets without a next
// hop, packets that earn an ICMP error or have to be cut. One gateway lives through all inputs.
#include "tests/fuzz/dpdk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/packet/control_rig.h"

namespace jvpn::fuzz {
namespace {

class Rig : public test::ControlRig {
 public:
  Rig() { EXPECT_TRUE(inside_->install(now_)); }

  void play(Draw& draw) {
    constexpr int kMostSteps = 16;
    for (int i = 0; i < kMostSteps && !draw.empty(); ++i) step(draw);
    // Whoever waited in vain is dropped, or has its error sent.
    constexpr uint64_t kLonger = 40'000;
    pass(kLonger);
    for (int i = 0; i < 4; ++i) pass(1'000);
    check_injected();
    EXPECT_EQ(rte_mempool_in_use_count(pool_.get()), 0U) << "packets leaked";
  }

 private:
  void TestBody() override {}

  void step(Draw& draw) {
    constexpr auto kReasons = static_cast<size_t>(PuntReason::kOversize) + 1;
    switch (draw.below(8)) {
      case 0:
        return pass(draw.number<uint16_t>());
      case 1:
        neighbors_->announce();
        break;
      default: {
        const auto reason = PuntReason{static_cast<uint8_t>(draw.below(kReasons))};
        const auto port = static_cast<uint16_t>(draw.below(3));
        const uint16_t mtu = draw.flip() ? draw.number<uint16_t>() : uint16_t{1'280};
        const Bytes bytes = sound(draw);
        punt(bytes, reason, port, mtu);
      }
    }
    check_injected();
  }

  /// A packet of the input, with right checksums if it says so: nobody gets far without.
  static Bytes sound(Draw& draw) {
    const bool right = draw.flip();
    Bytes bytes = draw.bytes(draw.number<uint16_t>() % 1'400);
    if (!right) return bytes;
    const size_t at = bytes.size() > 14 && bytes[12] == 0x08 && bytes[13] == 0 ? 14
                      : bytes.size() > 14 && bytes[12] == 0x86                 ? 14
                                                                               : 0;
    if (bytes.size() >= at + 20 && bytes[at] >> 4 == 4) fix_ipv4(bytes, at);
    if (bytes.size() >= at + 44 && bytes[at] >> 4 == 6) fix_ipv6(bytes, at);
    return bytes;
  }
  static void fix_ipv4(Bytes& bytes, size_t at) {
    const size_t header = (bytes[at] & 0x0FU) * 4;
    const size_t total = bytes.size() - at;
    test::put16(bytes, at + 2, static_cast<unsigned>(total));
    if (header < 20 || header > total) return;
    test::fix_ipv4_checksum(bytes, at);
    if (bytes[at + 9] != test::kIcmpProtocol || total < header + 8) return;
    test::put16(bytes, at + header + 2, 0);
    const uint16_t sum = test::internet_sum(&bytes[at + header], total - header);
    test::put16(bytes, at + header + 2, static_cast<uint16_t>(~sum));
  }
  static void fix_ipv6(Bytes& bytes, size_t at) {
    test::put16(bytes, at + 4, static_cast<unsigned>(bytes.size() - at - 40));
    if (bytes[at + 6] != test::kIcmpV6Protocol) return;
    Bytes packet(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end());
    test::fix_icmpv6(packet);
    std::ranges::copy(packet, bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }

  /// What goes back to a worker is a frame, or a packet that a worker can take.
  void check_injected() {
    for (const test::Injected& each : injected()) {
      if (each.action == InjectAction::kTransmit) {
        EXPECT_LT(each.port, ports_.size());
        EXPECT_GE(each.bytes.size(), 14U);
      } else {
        EXPECT_GE(each.bytes.size(), 20U);
      }
    }
  }
};

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jvpn::fuzz::need_dpdk();
  static jvpn::fuzz::Rig rig;
  jvpn::fuzz::Draw draw(data, size);
  rig.play(draw);
  return 0;
}
