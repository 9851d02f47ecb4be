// ARP and neighbour discovery: what we answer, what we ask, what we believe, what we forget.
#include <functional>
#include <string>

#include "tests/packet/control_rig.h"
#include "tests/packet/heap_faults.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

class NeighborsTest : public ControlRig {
 protected:
  void give_arp(uint16_t port_number, const Bytes& bytes) {
    neighbors_->on_arp(now_, port_number, bytes);
  }
  void give_nd(uint16_t port_number, const Bytes& bytes) {
    neighbors_->on_nd(now_, port_number, kHostMac, bytes);
  }
  NeighborKey lan(const char* text) const { return {1, address(text)}; }
  NeighborKey wan(const char* text) const { return {0, address(text)}; }
  rte_mbuf* glean(const char* to) {
    rte_mbuf* made = inner(to);
    note_of(made).reason = PuntReason::kGlean;
    return made;
  }
  rte_mbuf* inner(const char* to) {
    return packet(ip_packet(address("10.77.0.2"), address(to), udp_datagram(1, 2, payload_of(8))),
                  {});
  }
};

TEST_F(NeighborsTest, AnswersArpForItsOwnAddressOnly) {
  give_arp(0, arp(1, kHostMac, "192.0.2.7", {}, "192.0.2.1"));
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].action, InjectAction::kTransmit);
  EXPECT_EQ(out[0].port, 0);
  EXPECT_EQ(out[0].bytes, ethernet_frame(kHostMac, kWanMac, kArpType,
                                         arp(2, kWanMac, "192.0.2.1", kHostMac, "192.0.2.7")));
  give_arp(0, arp(1, kHostMac, "192.0.2.7", {}, "192.0.2.8"));
  give_arp(0, arp(1, kHostMac, "192.0.2.7", {}, "10.0.0.1"));  // the other port's
  EXPECT_TRUE(injected().empty());
}

TEST_F(NeighborsTest, AnswersSolicitations) {
  give_nd(1, nd(135, "fd00::7", "ff02::1:ff00:1", "fd00::1", kHostMac));
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  constexpr uint8_t solicited_override = 0x60;
  EXPECT_EQ(out[0].bytes,
            ip_frame(kHostMac, kLanMac,
                     nd(136, "fd00::1", "fd00::7", "fd00::1", kLanMac, solicited_override)));
}

TEST_F(NeighborsTest, AnswersDuplicateProbesToAllNodes) {
  Bytes probe = nd(135, "::", "ff02::1:ff00:1", "fd00::1", kHostMac);
  probe.erase(probe.end() - 8, probe.end());  // a prober tells no link-layer address
  put16(probe, 4, 24);
  fix_icmpv6(probe);
  give_nd(1, probe);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, ip_frame({0x33, 0x33, 0, 0, 0, 1}, kLanMac,
                                   nd(136, "fd00::1", "ff02::1", "fd00::1", kLanMac, 0x20)));
}

TEST_F(NeighborsTest, WhatIsDueIsServedInSlices) {
  constexpr size_t kMany = Neighbors::kAtOnce + 3;
  for (size_t i = 0; i < kMany; ++i)
    neighbors_->watch(now_, {1, IpAddress::v4({10, 0, 0, static_cast<uint8_t>(10 + i)})});
  EXPECT_EQ(neighbors_->counters().questions, kMany);
  now_ = now_ + Neighbors::kRetry;
  neighbors_->advance(now_);
  EXPECT_EQ(neighbors_->counters().questions, kMany + Neighbors::kAtOnce);
  EXPECT_LE(neighbors_->next_deadline(), now_) << "there is more to do";
  neighbors_->advance(now_);
  EXPECT_EQ(neighbors_->counters().questions, 2 * kMany);
  EXPECT_GT(neighbors_->next_deadline(), now_);
  injected();
}

TEST_F(NeighborsTest, ResolvesQueuesAndFlushes) {
  neighbors_->send_inner(now_, lan("10.0.0.7"), inner("10.0.0.7"));
  auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, ethernet_frame(kBroadcastMac, kLanMac, kArpType,
                                         arp(1, kLanMac, "10.0.0.1", {}, "10.0.0.7")));
  give_arp(1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].action, InjectAction::kRoute);
  const uint32_t be = 0x0700000A;
  const Target target = tables_.routes->lookup_v4(be);
  ASSERT_EQ(target.kind(), Target::Kind::kNextHop);
  const NextHop* hop = tables_.sessions->next_hop(target.number());
  ASSERT_NE(hop, nullptr);
  EXPECT_EQ(hop->port, 1);
  NextHop expected;
  expected.set_addresses(kHostMac, kLanMac);
  EXPECT_TRUE(std::ranges::equal(std::span(&hop->link[0][0], sizeof hop->link),
                                 std::span(&expected.link[0][0], sizeof expected.link)));
}

TEST_F(NeighborsTest, ResolvesIpv6BySolicitation) {
  neighbors_->watch(now_, lan("fd00::7"));
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, ip_frame({0x33, 0x33, 0xFF, 0, 0, 7}, kLanMac,
                                   nd(135, "fd00::1", "ff02::1:ff00:7", "fd00::7", kLanMac)));
  give_nd(1, nd(136, "fd00::7", "fd00::1", "fd00::7", kHostMac, 0x60));
  EXPECT_EQ(neighbors_->resolved(lan("fd00::7")), kHostMac);
  EXPECT_EQ(tables_.routes->lookup_v6(address("fd00::7").bytes.data()).kind(),
            Target::Kind::kNextHop);
}

TEST_F(NeighborsTest, BelievesNothingItDidNotAskFor) {
  give_arp(1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  give_arp(1, arp(1, kHostMac, "10.0.0.8", {}, "10.0.0.8"));
  give_nd(1, nd(136, "fd00::7", "fd00::1", "fd00::7", kHostMac, 0x60));
  give_nd(1, nd(135, "fd00::9", "ff02::1:ff00:2", "fd00::2", kHostMac));
  EXPECT_EQ(neighbors_->size(), 0U);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(NeighborsTest, AnotherAddressWithoutOverrideIsNoNews) {
  neighbors_->watch(now_, lan("fd00::7"));
  give_nd(1, nd(136, "fd00::7", "fd00::1", "fd00::7", kHostMac, 0x60));
  const Mac48 other{0x02, 0, 0, 0, 0, 0x44};
  give_nd(1, nd(136, "fd00::7", "fd00::1", "fd00::7", other, 0x40));
  EXPECT_EQ(neighbors_->resolved(lan("fd00::7")), kHostMac);
  EXPECT_EQ(neighbors_->counters().claims, 0U);
  give_nd(1, nd(136, "fd00::7", "fd00::1", "fd00::7", other, 0x60));
  EXPECT_EQ(neighbors_->resolved(lan("fd00::7")), kHostMac) << "its holder is asked first";
  EXPECT_EQ(neighbors_->counters().claims, 1U);
}

TEST_F(NeighborsTest, SomebodyWithOurAddressIsCountedAndNotBelieved) {
  give_arp(0, arp(1, kHostMac, "192.0.2.1", {}, "192.0.2.1"));
  EXPECT_EQ(neighbors_->counters().conflicts, 1U);
  EXPECT_TRUE(injected().empty());
}

TEST_F(NeighborsTest, AsksThreeTimesThenFails) {
  neighbors_->send_inner(now_, lan("10.0.0.7"), inner("10.0.0.7"));
  pass(1'000);
  pass(1'000);
  EXPECT_EQ(neighbors_->counters().questions, 3U);
  injected();
  pass(1'000);
  EXPECT_EQ(neighbors_->size(), 0U);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);  // host unreachable, to whoever sent the packet
  EXPECT_EQ(out[0].action, InjectAction::kRoute);
  EXPECT_EQ(get16(out[0].bytes, 20), 0x0301U);
}

TEST_F(NeighborsTest, ConfirmsByUnicastAndWithdrawsTheSilent) {
  neighbors_->watch(now_, lan("10.0.0.7"));
  give_arp(1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  injected();
  pass(30'000);
  auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, ethernet_frame(kHostMac, kLanMac, kArpType,
                                         arp(1, kLanMac, "10.0.0.1", {}, "10.0.0.7")));
  for (int i = 0; i < 3; ++i) pass(1'000);
  EXPECT_FALSE(neighbors_->resolved(lan("10.0.0.7")));
  ASSERT_EQ(changes_.size(), 2U);
  EXPECT_FALSE(changes_[1].second);
  EXPECT_EQ(tables_.sessions->next_hop(0), nullptr);
  injected();
  pass(5'000);  // it is watched: asked for again
  EXPECT_EQ(injected().size(), 1U);
  give_arp(1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  EXPECT_TRUE(neighbors_->resolved(lan("10.0.0.7")));
}

TEST_F(NeighborsTest, StaticRoutesFollowTheirNeighbour) {
  ASSERT_TRUE(inside_->install(now_));
  const uint32_t behind = 0x0100320A;  // 10.50.0.1
  EXPECT_EQ(tables_.routes->lookup_v4(behind), Target::glean(1));
  EXPECT_EQ(tables_.routes->lookup_v4(0x0100000A), Target::local(1));
  give_arp(1, arp(2, kHostMac, "10.0.0.9", kLanMac, "10.0.0.1"));
  EXPECT_EQ(tables_.routes->lookup_v4(behind).kind(), Target::Kind::kNextHop);
  pass(30'000);
  for (int i = 0; i < 3; ++i) pass(1'000);
  EXPECT_EQ(tables_.routes->lookup_v4(behind), Target::glean(1));
}

/// All routes by 10.0.0.9 (its own, 10.50/16) and by fd00::9 lead to the link, or to a next hop.
TEST_F(NeighborsTest, AResolvedNeighbourIsPublishedWholeOrNotAtAll) {
  const auto target_of = [&](const char* text) {
    const IpAddress to = address(text);
    uint32_t word;
    __builtin_memcpy(&word, to.bytes.data(), sizeof word);
    return to.is_v4() ? tables_.routes->lookup_v4(word)
                      : tables_.routes->lookup_v6(to.bytes.data());
  };
  slow_path_.reset();
  ports_[1].routes.push_back({Prefix::parse("fd50::/16").value(), address("fd00::9")});
  inside_ = std::make_unique<InsideRoutes>(ports_, *neighbors_, *tables_.routes, *tables_.sessions,
                                           *reclaimer_);
  ASSERT_TRUE(inside_->install(now_).ok());
  const std::vector<const char*> v4{"10.0.0.9", "10.50.1.1"};
  const std::vector<const char*> v6{"fd00::9", "fd50::1"};
  struct {
    const char* neighbor;
    std::vector<const char*> routes;
  } const cases[]{{"10.0.0.9", v4}, {"fd00::9", v6}};
  for (const auto& [neighbor, routes] : cases) {
    uint64_t points = 0;
    for (bool failed = true; failed; ++points) {
      SCOPED_TRACE(std::string(neighbor) + ", call " + std::to_string(points));
      HeapFaults faults([&](uint64_t n) { return n >= points; });
      inside_->neighbor_changed(lan(neighbor), kHostMac);
      failed = faults.failed() != 0;
      for (const char* to : routes)
        EXPECT_EQ(target_of(to).kind(), failed ? Target::Kind::kGlean : Target::Kind::kNextHop);
      EXPECT_EQ(inside_->published(lan(neighbor)), !failed);
    }
    EXPECT_GE(points, 2U) << "its host route at least takes memory";
    inside_->neighbor_changed(lan(neighbor), std::nullopt);
    for (const char* to : routes) EXPECT_EQ(target_of(to).kind(), Target::Kind::kGlean);
  }
}

TEST_F(NeighborsTest, ANextHopThatFoundNoRoomIsTriedAgainOnceASecond) {
  ASSERT_TRUE(inside_->install(now_).ok());
  {
    HeapFaults faults([](uint64_t) { return true; });
    slow_path_->handle(now_, glean("10.0.0.9"));
    give_arp(1, arp(2, kHostMac, "10.0.0.9", kLanMac, "10.0.0.1"));
    const uint64_t failed = faults.failed();
    EXPECT_GT(failed, 0U);
    for (int i = 0; i < 100; ++i) slow_path_->handle(now_, glean("10.0.0.9"));
    EXPECT_LE(faults.failed(), 2 * failed) << "a flood must not become one of attempts";
  }
  EXPECT_FALSE(inside_->published(lan("10.0.0.9")));
  pass(1'000);
  slow_path_->handle(now_, glean("10.0.0.9"));
  EXPECT_TRUE(inside_->published(lan("10.0.0.9")));
  injected();
}

TEST_F(NeighborsTest, NextHopIsTheLinkElseTheGateway) {
  EXPECT_EQ(neighbors_->next_hop(0, address("192.0.2.77")), wan("192.0.2.77"));
  EXPECT_EQ(neighbors_->next_hop(0, address("203.0.113.1")), wan("192.0.2.254"));
  EXPECT_EQ(neighbors_->next_hop(0, address("2001:db8:9::1")), std::nullopt);
  EXPECT_EQ(neighbors_->next_hop(9, address("192.0.2.77")), std::nullopt);
}

TEST_F(NeighborsTest, EverythingIsBounded) {
  Neighbors small(ports_, *injector_, {.entries = 2, .packets = 4});
  for (int i = 0; i < 5; ++i) small.send_inner(now_, lan("10.0.0.7"), inner("10.0.0.7"));
  EXPECT_EQ(small.counters().packets_dropped, 3U) << "half of the room is one neighbour's";
  for (int i = 0; i < 5; ++i) small.send_inner(now_, lan("10.0.0.8"), inner("10.0.0.8"));
  EXPECT_EQ(small.counters().packets_dropped, 7U) << "half of the rest is the next one's";
  EXPECT_EQ(small.counters().waiting_full, 7U);
  small.send_inner(now_, lan("10.0.0.9"), inner("10.0.0.9"));
  EXPECT_EQ(small.size(), 2U);
  EXPECT_EQ(small.counters().evicted, 1U);
  EXPECT_EQ(small.counters().packets_dropped, 9U) << "what waited for the evicted one";
  EXPECT_EQ(small.counters().waiting_full, 7U);
}

/// What comes meanwhile: a gateway that takes sessions over has not met their hosts yet.
TEST_F(NeighborsTest, ABurstWaitsForItsNeighbour) {
  constexpr size_t kBurst = 200;
  for (size_t i = 0; i < kBurst; ++i)
    neighbors_->send_inner(now_, lan("10.0.0.7"), inner("10.0.0.7"));
  EXPECT_EQ(neighbors_->counters().packets_dropped, 0U);
  injected();
  give_arp(1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  EXPECT_EQ(injected().size(), kBurst);
}

TEST_F(NeighborsTest, APeerThatScansLeavesOthersRoom) {
  const auto from = [&](uint32_t peer, const char* to) {
    rte_mbuf* made = inner(to);
    note_of(made).from_tunnel = true;
    note_of(made).peer = PeerId{peer};
    neighbors_->send_inner(now_, lan(to), made);
  };
  for (int i = 0; i < 100; ++i) {
    for (const char* to : {"10.0.0.31", "10.0.0.32", "10.0.0.33", "10.0.0.34"}) from(7, to);
  }
  const uint64_t refused = neighbors_->counters().waiting_full;
  EXPECT_EQ(refused, 400U - 128);
  for (int i = 0; i < 100; ++i) from(8, "10.0.0.40");
  EXPECT_EQ(neighbors_->counters().waiting_full, refused);
  injected();
  give_arp(1, arp(2, kHostMac, "10.0.0.40", kLanMac, "10.0.0.1"));
  EXPECT_EQ(injected().size(), 100U);
  pass(1'000);
  pass(1'000);
  pass(1'000);  // nobody answers the scan
  injected();
  from(7, "10.0.0.41");
  EXPECT_EQ(neighbors_->counters().waiting_full, refused) << "its share is free again";
}

TEST_F(NeighborsTest, AnnouncesEveryAddress) {
  neighbors_->announce();
  const auto out = injected();
  ASSERT_EQ(out.size(), 4U);
  EXPECT_EQ(out[0].bytes, ethernet_frame(kBroadcastMac, kWanMac, kArpType,
                                         arp(1, kWanMac, "192.0.2.1", {}, "192.0.2.1")));
  EXPECT_EQ(out[3].bytes, ip_frame({0x33, 0x33, 0, 0, 0, 1}, kLanMac,
                                   nd(136, "fd00::1", "ff02::1", "fd00::1", kLanMac, 0x20)));
}

struct Spoiled {
  const char* name;
  std::function<void(Bytes&)> spoil;
};

TEST_F(NeighborsTest, RefusesSpoiledArp) {
  const Spoiled cases[] = {
      {"hardware type", [](Bytes& b) { b[1] = 6; }},
      {"protocol type", [](Bytes& b) { b[2] = 0x86; }},
      {"hardware length", [](Bytes& b) { b[4] = 8; }},
      {"protocol length", [](Bytes& b) { b[5] = 16; }},
      {"operation", [](Bytes& b) { b[7] = 3; }},
      {"group sender", [](Bytes& b) { b[8] = 0x01; }},
  };
  for (const Spoiled& spoiled : cases) {
    Bytes bytes = arp(1, kHostMac, "192.0.2.7", {}, "192.0.2.1");
    spoiled.spoil(bytes);
    give_arp(0, bytes);
    EXPECT_TRUE(injected().empty()) << spoiled.name;
  }
}

TEST_F(NeighborsTest, RefusesSpoiledSolicitations) {
  const Spoiled cases[] = {
      {"hop limit", [](Bytes& b) { b[7] = 254; }},
      {"checksum", [](Bytes& b) { b[42] ^= 1; }},
      {"code", [](Bytes& b) { b[41] = 1, fix_icmpv6(b); }},
      {"group target", [](Bytes& b) { b[48] = 0xFF, fix_icmpv6(b); }},
      {"option length 0", [](Bytes& b) { b[65] = 0, fix_icmpv6(b); }},
      {"option beyond the end", [](Bytes& b) { b[65] = 2, fix_icmpv6(b); }},
      {"group source", [](Bytes& b) { b[8] = 0xFF, fix_icmpv6(b); }},
      {"prober with an address",
       [](Bytes& b) { std::fill_n(b.begin() + 8, 16, uint8_t{0}), fix_icmpv6(b); }},
      {"redirect", [](Bytes& b) { b[40] = 137, fix_icmpv6(b); }},
  };
  for (const Spoiled& spoiled : cases) {
    Bytes bytes = nd(135, "fd00::7", "ff02::1:ff00:1", "fd00::1", kHostMac);
    spoiled.spoil(bytes);
    give_nd(1, bytes);
    EXPECT_TRUE(injected().empty()) << spoiled.name;
  }
}

}  // namespace
}  // namespace jvpn::test
