// Somebody else claims a neighbour's address, and somebody fills the table: what is known stays,
// and costs a bounded number of questions and changes.
#include <string>

#include "control/gateway/outside_hops.h"
#include "tests/packet/control_rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr Mac48 kThief{0x02, 0, 0, 0, 0, 0x66};
constexpr const char* kHost = "10.0.0.7";

class NeighborClaims : public ControlRig {
 protected:
  NeighborKey host() const { return {1, address(kHost)}; }
  void says(const Mac48& mac, uint16_t operation = 2) {
    neighbors_->on_arp(now_, 1, arp(operation, mac, kHost, kLanMac, "10.0.0.1"));
  }
  void watch_host() {
    neighbors_->watch(now_, host());
    says(kHostMac);
    injected();
    changes_.clear();
  }
  static Bytes question(const Mac48& to) {
    return ethernet_frame(to, kLanMac, kArpType, arp(1, kLanMac, "10.0.0.1", {}, kHost));
  }
  rte_mbuf* inner(const std::string& to) {
    return packet(
        ip_packet(address("10.77.0.2"), address(to.c_str()), udp_datagram(1, 2, payload_of(8))),
        {});
  }
};

TEST_F(NeighborClaims, AreMetByAQuestionToThePresentHolder) {
  watch_host();
  says(kThief);
  EXPECT_EQ(neighbors_->resolved(host()), kHostMac);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, question(kHostMac));
  says(kHostMac);
  pass(5'000);
  EXPECT_EQ(neighbors_->resolved(host()), kHostMac);
  EXPECT_TRUE(injected().empty());
  EXPECT_TRUE(changes_.empty());
}

TEST_F(NeighborClaims, InAFloodChangeNothingAndCostFewQuestions) {
  watch_host();
  const uint64_t asked = neighbors_->counters().questions;
  constexpr int kSeconds = 10;
  for (int ms = 0; ms < 1'000 * kSeconds; ++ms) {
    for (uint8_t i = 0; i < 10; ++i) says({0x02, 0, 0, 1, 0, i}, i % 2 == 0 ? 1 : 2);
    for (const Injected& each : injected())
      if (each.bytes == question(kHostMac)) says(kHostMac);  // the holder is there, and answers
    pass(1);
  }
  EXPECT_EQ(neighbors_->counters().claims, 10'000U * kSeconds);
  EXPECT_EQ(neighbors_->resolved(host()), kHostMac);
  EXPECT_TRUE(changes_.empty());
  EXPECT_LE(neighbors_->counters().questions - asked, kSeconds + 1U);
}

TEST_F(NeighborClaims, AreTrueWhenTheHolderIsSilent) {
  watch_host();
  says(kThief);  // the host has got another card, say
  uint64_t ms = 0;
  for (; neighbors_->resolved(host()) == kHostMac && ms < 1'000; ms += 10) {
    for (const Injected& each : injected())
      if (each.bytes == question(kBroadcastMac)) says(kThief);
    pass(10);
  }
  EXPECT_EQ(neighbors_->resolved(host()), kThief);
  EXPECT_LE(ms, 300U);
  ASSERT_EQ(changes_.size(), 1U) << "no moment without an address";
  EXPECT_EQ(neighbors_->counters().moved, 1U);
}

TEST_F(NeighborClaims, NeverTouchAStaticNeighbour) {
  slow_path_.reset();
  ports_[1].neighbors = {{address(kHost), kHostMac}};
  neighbors_ = std::make_unique<Neighbors>(ports_, *injector_);
  inside_ = std::make_unique<InsideRoutes>(ports_, *neighbors_, *tables_.routes, *tables_.sessions,
                                           *reclaimer_);
  ASSERT_TRUE(inside_->install(now_).ok());
  EXPECT_TRUE(inside_->published(host()));
  injected();
  says(kThief);
  pass(60'000);
  EXPECT_EQ(neighbors_->resolved(host()), kHostMac);
  EXPECT_EQ(neighbors_->counters().conflicts, 1U);
  neighbors_->watch(now_, host());
  neighbors_->unwatch(host());
  EXPECT_EQ(neighbors_->resolved(host()), kHostMac);
}

TEST_F(NeighborClaims, AFloodOfUnknownHostsTakesNoRoomOfOthers) {
  Neighbors small(ports_, *injector_, {.entries = 4});
  small.send_inner(now_, host(), inner(kHost));
  small.on_arp(now_, 1, arp(2, kHostMac, kHost, kLanMac, "10.0.0.1"));
  for (int i = 100; i < 200; ++i) {
    const std::string to = "10.0.0." + std::to_string(i);
    small.send_inner(now_, {1, address(to.c_str())}, inner(to));
  }
  EXPECT_EQ(small.resolved(host()), kHostMac) << "who answers stays";
  EXPECT_EQ(small.size(), 4U);
  EXPECT_EQ(small.counters().evicted, 97U);
  small.send_frame(now_, {0, address("192.0.2.9")}, packet(Bytes(60), {}), 0);
  small.watch(now_, {1, address("10.0.0.9")});
  EXPECT_EQ(small.size(), 6U) << "other origins have their own room";
  injected();
}

TEST_F(NeighborClaims, AChangedAddressIsOneStoreForAllSessions) {
  OutsideHops hops(ports_, *neighbors_, *reclaimer_);
  const NeighborKey router{0, address("192.0.2.254")};
  const SharedHop* hop = hops.join(now_, router);
  ASSERT_NE(hop, nullptr);
  EXPECT_EQ(hop->link.load(), 0U);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(hops.join(now_, router), hop);
  hops.neighbor_changed(router, kHostMac);
  SharedHop expected;
  expected.set(kHostMac, kWanMac);
  EXPECT_EQ(hop->link.load(), expected.link.load());
  hops.neighbor_changed(router, std::nullopt);
  EXPECT_EQ(hop->link.load(), 0U);
  for (int i = 0; i < 1'001; ++i) hops.leave(router);
  EXPECT_EQ(hops.size(), 0U);
  EXPECT_EQ(reclaimer_->pending(), 1U) << "workers may still read it";
  EXPECT_NE(hops.join(now_, router), hop);
  hops.leave(router);
  injected();
}

}  // namespace
}  // namespace jvpn::test
