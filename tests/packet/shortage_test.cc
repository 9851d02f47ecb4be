// Control's way out is short at any one point: its pool has no buffer left, or the worker's ring no
// room. What can't be sent is counted by name, nothing leaks, and nothing is sent by half.
#include <algorithm>

#include "tests/packet/control_rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint16_t kMtu = 600;  // less than what is cut or refused here

/// Something that makes control send.
struct Cause {
  const char* name;
  PuntReason reason;
  uint16_t port;
  Bytes packet;
  size_t answers;  ///< packets that it makes
};

class Shortage : public ControlRig {
 protected:
  ~Shortage() override { give_back(); }

  static std::vector<Cause> causes() {
    const auto udp = [](const char* from, const char* to, uint16_t fragment = 0x4000) {
      return ip_packet(address(from), address(to), udp_datagram(1, 2, payload_of(900)),
                       {kUdpProtocol, 64, {}, fragment});
    };
    const Bytes arp_request = arp(1, kHostMac, "10.0.0.7", {}, "10.0.0.1");
    const Bytes solicitation = nd(135, "fd00::7", "ff02::1:ff00:1", "fd00::1", kHostMac);
    return {
        {"ARP", PuntReason::kFrame, 1, ethernet_frame(kLanMac, kHostMac, kArpType, arp_request), 1},
        {"solicitation", PuntReason::kFrame, 1, ip_frame(kLanMac, kHostMac, solicitation), 1},
        {"error", PuntReason::kTtlExpired, 1, udp("10.77.0.2", "10.9.9.9"), 1},
        {"IPv6 error", PuntReason::kNoRoute, 1, udp("fd77::2", "fd09::1"), 1},
        {"too big", PuntReason::kTooBig, 1, udp("10.77.0.2", "10.0.0.7"), 1},
        {"fragments", PuntReason::kTooBig, 1, udp("10.77.0.2", "10.0.0.7", 0), 2},
        {"outer fragments", PuntReason::kOversize, 0,
         ip_frame(kHostMac, kWanMac, udp("192.0.2.1", "192.0.2.7")), 2},
        {"IPv6 outer fragments", PuntReason::kOversize, 0,
         ip_frame(kHostMac, kWanMac, udp("2001:db8::1", "2001:db8::7")), 2},
    };
  }

  /// Leaves so many buffers in the pool.
  void leave(size_t buffers) {
    give_back();
    while (rte_mempool_avail_count(pool_.get()) > buffers)
      taken_.push_back(rte_pktmbuf_alloc(pool_.get()));
  }
  void give_back() {
    for (rte_mbuf* each : taken_) rte_pktmbuf_free(each);
    taken_.clear();
  }

  std::vector<rte_mbuf*> taken_;
};

TEST_F(Shortage, WithoutABufferTheAnswerIsCountedAndNothingLeaks) {
  for (const Cause& cause : causes()) {
    for (size_t free = 0; free <= cause.answers; ++free) {
      SCOPED_TRACE(std::string(cause.name) + ", buffers: " + std::to_string(free));
      leave(free + 1);  // one of them is the packet's own
      const uint64_t refused = injector_->counters().no_buffer;
      punt(cause.packet, cause.reason, cause.port, kMtu);
      EXPECT_EQ(injector_->counters().no_buffer - refused, free < cause.answers ? 1U : 0U);
      EXPECT_EQ(injected().size(), free);
      EXPECT_EQ(rte_mempool_avail_count(pool_.get()), free + 1) << "leaked";
    }
  }
}

TEST_F(Shortage, WithoutRoomInTheRingTheAnswerIsCountedAndNothingLeaks) {
  for (const Cause& cause : causes()) {
    for (size_t room = 0; room <= cause.answers; ++room) {
      SCOPED_TRACE(std::string(cause.name) + ", room: " + std::to_string(room));
      const size_t waiting = rte_ring_get_capacity(ring_.get()) - room;
      for (size_t i = 0; i < waiting; ++i) injector_->transmit(0, injector_->allocate());
      const uint64_t refused = injector_->counters().ring_full;
      punt(cause.packet, cause.reason, cause.port, kMtu);
      EXPECT_EQ(injector_->counters().ring_full - refused, cause.answers - room);
      EXPECT_EQ(injected().size(), waiting + room);
      EXPECT_EQ(rte_mempool_in_use_count(pool_.get()), 0U) << "leaked";
    }
  }
}

TEST_F(Shortage, AQuestionThatCouldNotBeSentIsAskedAgain) {
  const NeighborKey key{1, address("10.0.0.7")};
  leave(0);
  neighbors_->watch(now_, key);
  EXPECT_EQ(injector_->counters().no_buffer, 1U);
  give_back();
  pass(Neighbors::kRetry.value);
  ASSERT_EQ(injected().size(), 1U);
  neighbors_->on_arp(now_, 1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  EXPECT_TRUE(neighbors_->resolved(key).has_value());
}

}  // namespace
}  // namespace jvpn::test
