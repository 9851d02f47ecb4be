// Answers and announcements for peers' addresses on the LAN: which, when, how many.
#include "control/neighbor/peer_proxy.h"

#include <map>
#include <set>
#include <string>

#include "tests/packet/control_rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr Mac48 kOtherGateway{0x02, 0, 0, 0, 0, 0x44};
constexpr Mac48 kAllNodesMac{0x33, 0x33, 0, 0, 0, 1};
constexpr size_t kRoom = 2'000;
constexpr Millis kSecond{1'000};

/// What the test says of peers.
struct KnownPeers final : PeerProxy::Peers {
  bool carries(PeerId peer) const override { return carried.contains(peer.value); }
  std::span<const Prefix> allowed(PeerId peer) const override {
    const auto at = prefixes.find(peer.value);
    return at == prefixes.end() ? std::span<const Prefix>{} : at->second;
  }
  std::set<uint32_t> carried;
  std::map<uint32_t, std::vector<Prefix>> prefixes;
};

class PeerProxyTest : public ControlRig {
 protected:
  static constexpr PeerId kLaptop{3};

  PeerProxyTest() {
    ports_[1].answers_for_peers = true;
    make_proxy();
    EXPECT_TRUE(inside_->install(now_));
    allow(kLaptop, {"10.0.0.77/32", "fd00::77/128", "10.0.0.128/28"});
    injected();
  }

  void make_proxy() {
    proxy_.emplace(ports_, *injector_, *tables_.routes, peers_, kRoom);
    neighbors_->answer_for(*proxy_);
  }
  void allow(PeerId peer, const std::vector<std::string>& prefixes) {
    for (const std::string& each : prefixes) {
      peers_.prefixes[peer.value].push_back(Prefix::parse(each).value());
      EXPECT_TRUE(tables_.routes->add(peers_.prefixes[peer.value].back(), Target::peer(peer)));
    }
  }
  void attach(PeerId peer) {
    peers_.carried.insert(peer.value);
    proxy_->installed(peer);
  }
  void end(PeerId peer) {
    peers_.carried.erase(peer.value);
    proxy_->withdrawn(peer);
  }
  /// What leaves within so long, announcements and all, by the time at which it does.
  std::multimap<Millis, Injected> sent_within(Millis span) {
    std::multimap<Millis, Injected> all;
    const Millis until = now_ + span;
    for (; now_ < until; now_ = now_ + Millis{1}) {
      proxy_->advance(now_);
      for (Injected& each : injected()) all.emplace(now_, std::move(each));
    }
    return all;
  }
  /// The frames that answer an ARP request or a solicitation.
  std::vector<Injected> ask(const char* for_address, const char* sender = "10.0.0.7") {
    neighbors_->on_arp(now_, 1, arp(1, kHostMac, sender, {}, for_address));
    return injected();
  }
  std::vector<Injected> solicit(const char* for_address, const char* to = "ff02::1:ff00:77") {
    neighbors_->on_nd(now_, 1, kHostMac, nd(135, "fd00::7", to, for_address, kHostMac));
    return injected();
  }
  static Bytes arp_announcement(const char* of) {
    return ethernet_frame(kBroadcastMac, kLanMac, kArpType, arp(1, kLanMac, of, {}, of));
  }
  static Bytes nd_announcement(const char* of) {
    return ip_frame(kAllNodesMac, kLanMac, nd(136, "fd00::1", "ff02::1", of, kLanMac, 0x20));
  }

  KnownPeers peers_;
  std::optional<PeerProxy> proxy_;
};

TEST_F(PeerProxyTest, AnswersArpWhileTheSessionIsCarried) {
  EXPECT_TRUE(ask("10.0.0.77").empty()) << "nobody carries it";
  attach(kLaptop);
  const auto out = ask("10.0.0.77");
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].action, InjectAction::kTransmit);
  EXPECT_EQ(out[0].port, 1);
  EXPECT_EQ(out[0].bytes, ethernet_frame(kHostMac, kLanMac, kArpType,
                                         arp(2, kLanMac, "10.0.0.77", kHostMac, "10.0.0.7")));
  EXPECT_EQ(ask("10.0.0.130").size(), 1U) << "in a network of the peer";
  EXPECT_EQ(ask("10.0.0.77", "0.0.0.0").size(), 1U) << "who probes must hear that it is taken";
  EXPECT_EQ(proxy_->counters().answers, 3U);
  peers_.carried.clear();
  EXPECT_TRUE(ask("10.0.0.77").empty()) << "silent, though it is installed";
  attach(kLaptop);
  EXPECT_EQ(ask("10.0.0.77").size(), 1U);
  end(kLaptop);
  EXPECT_TRUE(ask("10.0.0.77").empty());
  EXPECT_EQ(proxy_->pending(), 0U);
}

TEST_F(PeerProxyTest, AnswersSolicitationsWithoutTakingPrecedence) {
  EXPECT_TRUE(solicit("fd00::77").empty());
  attach(kLaptop);
  constexpr uint8_t kSolicitedAlone = 0x40;
  const Bytes expected = ip_frame(
      kHostMac, kLanMac, nd(136, "fd00::1", "fd00::7", "fd00::77", kLanMac, kSolicitedAlone));
  for (const char* to : {"ff02::1:ff00:77", "fd00::77"}) {  // asks all, or whether we are there
    const auto out = solicit("fd00::77", to);
    ASSERT_EQ(out.size(), 1U) << to;
    EXPECT_EQ(out[0].bytes, expected);
  }
  end(kLaptop);
  EXPECT_TRUE(solicit("fd00::77").empty());
}

TEST_F(PeerProxyTest, TellsWhoProbesThatTheAddressIsTaken) {
  Bytes probe = nd(135, "::", "ff02::1:ff00:77", "fd00::77", kHostMac);
  probe.erase(probe.end() - 8, probe.end());
  put16(probe, 4, 24);
  fix_icmpv6(probe);
  attach(kLaptop);
  neighbors_->on_nd(now_, 1, kHostMac, probe);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes,
            ip_frame(kAllNodesMac, kLanMac, nd(136, "fd00::1", "ff02::1", "fd00::77", kLanMac, 0)));
}

TEST_F(PeerProxyTest, AnswersForNothingElse) {
  allow(PeerId{4}, {"0.0.0.0/0", "::/0", "10.0.0.9/32", "192.0.2.1/32"});
  neighbors_->on_arp(now_, 1, arp(2, kHostMac, "10.0.0.9", kLanMac, "10.0.0.1"));
  attach(kLaptop);
  attach(PeerId{4});
  injected();
  for (const char* other : {"10.0.0.8", "10.50.0.1", "192.0.2.1", "169.254.7.7", "127.0.0.1",
                            "0.0.0.0", "224.0.0.251", "255.255.255.255"})
    EXPECT_TRUE(ask(other).empty()) << other;
  for (const char* other : {"fd00::8", "2001:db8::1", "fe80::7", "::1"})
    EXPECT_TRUE(solicit(other).empty()) << other;
  EXPECT_EQ(ask("203.0.113.7").size(), 1U) << "the default route's";
  const auto own = ask("10.0.0.1");
  ASSERT_EQ(own.size(), 1U) << "as ever";
  EXPECT_EQ(proxy_->counters().answers, 1U);
}

TEST_F(PeerProxyTest, AnswersOnPortsThatSayThey) {
  attach(kLaptop);
  neighbors_->on_arp(now_, 0, arp(1, kHostMac, "192.0.2.7", {}, "10.0.0.77"));
  EXPECT_TRUE(injected().empty()) << "outside";
  ports_[1].answers_for_peers = false;
  make_proxy();
  attach(kLaptop);
  EXPECT_TRUE(ask("10.0.0.77").empty());
  EXPECT_TRUE(sent_within(Millis{2'000}).empty());
}

TEST_F(PeerProxyTest, AnnouncesEachHostAddressTwice) {
  attach(kLaptop);
  const Millis begun = now_;
  const auto sent = sent_within(Millis{5'000});
  std::map<Bytes, std::vector<Millis>> times;
  for (const auto& [at, frame] : sent) times[frame.bytes].push_back(at - begun);
  ASSERT_EQ(times.size(), 2U) << "networks aren't announced";
  for (const Bytes& each : {arp_announcement("10.0.0.77"), nd_announcement("fd00::77")}) {
    ASSERT_EQ(times[each].size(), 2U);
    EXPECT_LT(times[each][0], Millis{50});
    EXPECT_GE(times[each][1] - times[each][0], PeerProxy::kRepeat);
    EXPECT_LT(times[each][1], Millis{1'100});
  }
  EXPECT_EQ(proxy_->counters().announcements, 4U);
  EXPECT_EQ(proxy_->pending(), 0U);
  proxy_->installed(kLaptop);  // a jump, a rekey: it is carried as before
  EXPECT_TRUE(sent_within(Millis{2'000}).empty());
}

TEST_F(PeerProxyTest, RepeatsNothingThatIsCarriedNoLonger) {
  attach(kLaptop);
  EXPECT_EQ(sent_within(Millis{500}).size(), 2U);
  EXPECT_EQ(proxy_->pending(), 1U);
  end(kLaptop);
  EXPECT_TRUE(sent_within(Millis{3'000}).empty());
  attach(kLaptop);
  EXPECT_EQ(sent_within(Millis{5'000}).size(), 4U) << "it has begun anew";
}

TEST_F(PeerProxyTest, WaitsWhileItIsSilent) {
  attach(kLaptop);
  peers_.carried.clear();
  EXPECT_TRUE(sent_within(Millis{2'000}).empty());
  EXPECT_EQ(proxy_->pending(), 1U);
  peers_.carried.insert(kLaptop.value);
  EXPECT_EQ(sent_within(Millis{5'000}).size(), 4U);
}

TEST_F(PeerProxyTest, AnnouncesWhatAReloadBrings) {
  attach(kLaptop);
  sent_within(Millis{5'000});
  allow(kLaptop, {"10.0.0.78/32"});
  proxy_->routed(kLaptop);
  proxy_->routed(PeerId{4});  // not carried
  size_t of_new = 0;
  for (const auto& [at, frame] : sent_within(Millis{5'000}))
    of_new += frame.bytes == arp_announcement("10.0.0.78") ? 1 : 0;
  EXPECT_EQ(of_new, 2U);
}

/// So that a takeover floods nobody.
TEST_F(PeerProxyTest, ManyAreAnnouncedOneAfterTheOther) {
  constexpr uint32_t kMany = 1'000;
  std::map<Bytes, unsigned> expected;
  for (uint32_t i = 0; i < kMany; ++i) {
    const std::string own = "10.77." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    allow(PeerId{100 + i}, {own + "/32"});
    expected[arp_announcement(own.c_str())] = 2;
    attach(PeerId{100 + i});
  }
  EXPECT_EQ(proxy_->pending(), kMany);
  const auto sent = sent_within(Millis{12'000});
  std::map<Bytes, unsigned> found;
  size_t first = 0;
  for (const auto& [at, frame] : sent) {
    first += ++found[frame.bytes] == 1 ? 1 : 0;
    const auto end = sent.upper_bound(at + kSecond - Millis{1});
    const auto within = std::distance(sent.lower_bound(at), end);
    ASSERT_LE(within, 200) << "in the second from " << at.value;
    const auto so_far = std::distance(sent.begin(), sent.upper_bound(at));
    if (so_far <= static_cast<long>(kMany)) {
      ASSERT_EQ(first, static_cast<size_t>(so_far)) << "first each once";
    }
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(proxy_->pending(), 0U);
}

/// Hosts send to where a session was until they are told; its gateway asks for it meanwhile.
TEST_F(PeerProxyTest, WhoIsAskedForIsAnnouncedFirst) {
  for (uint32_t i = 0; i < 1'000; ++i) {
    const std::string own = "10.77." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    allow(PeerId{100 + i}, {own + "/32"});
    attach(PeerId{100 + i});
  }
  attach(kLaptop);
  sent_within(kSecond);
  ASSERT_EQ(ask("10.0.0.77", "10.0.0.3").size(), 1U);
  const Bytes announcement = arp_announcement("10.0.0.77");
  size_t told = 0;
  for (const auto& [at, frame] : sent_within(Millis{20}))
    told += frame.bytes == announcement ? 1 : 0;
  EXPECT_EQ(told, 1U);
  ASSERT_EQ(ask("10.0.0.77", "10.0.0.3").size(), 1U);
  for (const auto& [at, frame] : sent_within(Millis{20}))
    told += frame.bytes == announcement ? 1 : 0;
  EXPECT_EQ(told, 1U) << "again in its turn alone";
  sent_within(Millis{12'000});
  EXPECT_EQ(proxy_->counters().announcements, 2'000U + 4) << "nobody is forgotten";
  EXPECT_EQ(proxy_->pending(), 0U);
}

/// Whoever comes and goes again and again takes no more room, and no more than its share.
TEST_F(PeerProxyTest, WaitsOnceEach) {
  for (int i = 0; i < 1'000; ++i) {
    attach(kLaptop);
    ASSERT_EQ(proxy_->pending(), 1U);
    end(kLaptop);
    ASSERT_EQ(proxy_->pending(), 0U);
  }
  attach(kLaptop);
  EXPECT_EQ(sent_within(Millis{5'000}).size(), 4U);
}

TEST_F(PeerProxyTest, LosesNoAnnouncementForWantOfRoom) {
  std::vector<rte_mbuf*> taken;
  while (rte_mbuf* each = rte_pktmbuf_alloc(pool_.get())) taken.push_back(each);
  attach(kLaptop);
  EXPECT_TRUE(sent_within(Millis{100}).empty());
  for (rte_mbuf* each : taken) rte_pktmbuf_free(each);
  EXPECT_EQ(sent_within(Millis{5'000}).size(), 4U);
}

TEST_F(PeerProxyTest, WhatOtherGatewaysAnnounceChangesNothing) {
  neighbors_->watch(now_, {1, address("10.0.0.7")});
  neighbors_->on_arp(now_, 1, arp(2, kHostMac, "10.0.0.7", kLanMac, "10.0.0.1"));
  attach(kLaptop);
  sent_within(Millis{5'000});
  neighbors_->on_arp(now_, 1, arp(1, kOtherGateway, "10.0.0.77", {}, "10.0.0.77"));
  neighbors_->on_nd(now_, 1, kOtherGateway,
                    nd(136, "fd00::2", "ff02::1", "fd00::77", kOtherGateway, 0x20));
  EXPECT_TRUE(injected().empty()) << "neither an answer nor a question";
  EXPECT_EQ(proxy_->counters().claims, 2U);
  EXPECT_EQ(neighbors_->counters().claims + neighbors_->counters().conflicts, 0U);
  EXPECT_EQ(neighbors_->counters().ignored, 0U);
  EXPECT_EQ(ask("10.0.0.77").size(), 1U) << "we carry it";
  end(kLaptop);
  neighbors_->on_arp(now_, 1, arp(1, kOtherGateway, "10.0.0.77", {}, "10.0.0.77"));
  EXPECT_EQ(proxy_->counters().claims, 2U) << "it is right";
  // What is a host's is believed as ever.
  EXPECT_EQ(neighbors_->resolved({1, address("10.0.0.7")}), kHostMac);
  neighbors_->on_arp(now_, 1, arp(1, kOtherGateway, "10.0.0.7", {}, "10.0.0.7"));
  EXPECT_EQ(neighbors_->counters().claims, 1U);
  injected();
}

}  // namespace
}  // namespace jvpn::test
