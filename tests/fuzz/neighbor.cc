// What workers hand to control's slow path: ARP, neighbour discovery, pings, packets without a next
// hop, packets that earn an ICMP error or have to be cut. One gateway lives through all inputs.
#include <array>

#include "control/neighbor/peer_proxy.h"
#include "tests/fuzz/dpdk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/packet/control_rig.h"

namespace jvpn::fuzz {
namespace {

using neighbor::PeerProxy;

/// One peer, with an address of each family and a network.
struct OnePeer final : PeerProxy::Peers {
  bool carries(PeerId) const override { return carried; }
  std::span<const Prefix> allowed(PeerId) const override { return prefixes; }
  bool carried = false;
  std::array<Prefix, 3> prefixes{*Prefix::parse("10.0.0.77/32"), *Prefix::parse("fd00::77/128"),
                                 *Prefix::parse("10.0.0.128/25")};
};

class Rig : public test::ControlRig {
 public:
  Rig() {
    ports_[1].answers_for_peers = true;
    lan_ = std::make_unique<PeerProxy>(ports_, *injector_, *tables_.routes, peer_, 1);
    neighbors_->answer_for(*lan_);
    EXPECT_TRUE(inside_->install(now_));
    for (const Prefix& each : peer_.prefixes)
      EXPECT_TRUE(tables_.routes->add(each, Target::peer(PeerId{0})));
  }

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
    lan_->advance(now_);
    EXPECT_LE(lan_->pending(), 1U);
    switch (draw.below(8)) {
      case 0: {
        const auto ms = draw.number<uint16_t>();
        peer_.carried = (ms & 1) != 0;
        (ms & 2) != 0 ? lan_->installed(PeerId{0}) : lan_->withdrawn(PeerId{0});
        return pass(ms);
      }
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

  OnePeer peer_;
  std::unique_ptr<PeerProxy> lan_;

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
