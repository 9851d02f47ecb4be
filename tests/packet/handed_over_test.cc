// Packets for peers whose sessions another gateway has just taken: they wait for it on the link,
// and go there.
#include "control/neighbor/handed_over.h"

#include <set>

#include <fmt/format.h>

#include "tests/packet/control_rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr Mac48 kTakerMac{0x02, 0, 0, 0, 0, 0x44};
constexpr Mac48 kGroupMac77{0x33, 0x33, 0xFF, 0, 0, 0x77};

struct NobodyCarries final : PeerProxy::Peers {
  bool carries(PeerId) const override { return false; }
  std::span<const Prefix> allowed(PeerId) const override { return {}; }
};

class HandedOverTest : public ControlRig {
 protected:
  static constexpr PeerId kLaptop{3};

  HandedOverTest() {
    ports_[1].answers_for_peers = true;
    lan_.emplace(ports_, *injector_, *tables_.routes, nobody_, 16);
    neighbors_->answer_for(*lan_);
    handed_over_.emplace(ports_, *injector_, *lan_, *tables_.sessions);
    neighbors_->tell(*handed_over_);
    slow_path_->forward_by(*handed_over_);
    EXPECT_TRUE(inside_->install(now_));
    for (const char* each : {"10.0.0.77/32", "fd00::77/128", "10.0.0.128/28"})
      EXPECT_TRUE(tables_.routes->add(Prefix::parse(each).value(), Target::peer(kLaptop)));
    injected();
  }
  ~HandedOverTest() override { handed_over_.reset(); }

  static Bytes to_peer(const char* address_of, size_t payload) {
    const bool v6 = std::string_view(address_of).find(':') != std::string_view::npos;
    return ip_packet(address(v6 ? "fd00::7" : "10.0.0.7"), address(address_of),
                     udp_datagram(1000, 2000, payload_of(payload)));
  }
  void arrives(const char* address_of, size_t payload = 8, uint16_t at = 1) {
    punt(to_peer(address_of, payload), PuntReason::kHandedOver, at);
  }
  void announced(const char* address_of) {
    neighbors_->on_arp(now_, 1, arp(1, kTakerMac, address_of, {}, address_of));
  }
  std::vector<Injected> wait(uint64_t ms) {
    now_ = now_ + Millis{ms};
    handed_over_->advance(now_);
    return injected();
  }

  NobodyCarries nobody_;
  std::optional<PeerProxy> lan_;
  std::optional<HandedOver> handed_over_;
};

TEST_F(HandedOverTest, WaitsForTheOtherGatewayThenGoesThere) {
  EXPECT_FALSE(tables_.sessions->forwards());
  handed_over_->gone(now_, kLaptop);
  EXPECT_TRUE(tables_.sessions->forwards());
  arrives("10.0.0.77", 8);
  arrives("10.0.0.77", 9);
  const auto asked = injected();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].bytes, ethernet_frame(kBroadcastMac, kLanMac, kArpType,
                                           arp(1, kLanMac, "10.0.0.1", {}, "10.0.0.77")));
  EXPECT_EQ(wait(10).size(), 0U);
  EXPECT_EQ(wait(10).size(), 1U) << "and again: it hasn't got the session yet";
  announced("10.0.0.77");
  const auto sent = injected();
  ASSERT_EQ(sent.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(sent[i].action, InjectAction::kTransmit);
    EXPECT_EQ(sent[i].port, 1);
    EXPECT_EQ(sent[i].bytes, ip_frame(kTakerMac, kLanMac, to_peer("10.0.0.77", 8 + i)));
  }
  arrives("10.0.0.77", 10);
  EXPECT_EQ(injected().size(), 1U) << "at once";
  EXPECT_TRUE(wait(100).empty()) << "there is nothing to ask any more";
  EXPECT_EQ(handed_over_->counters().forwarded, 3U);
  EXPECT_EQ(handed_over_->counters().waited, 2U);
  EXPECT_EQ(handed_over_->waiting(), 0U);
}

TEST_F(HandedOverTest, AnAnswerDoesAsWellAsAnAnnouncement) {
  handed_over_->gone(now_, kLaptop);
  arrives("10.0.0.130");
  injected();
  neighbors_->on_arp(now_, 1, arp(2, kTakerMac, "10.0.0.130", kLanMac, "10.0.0.1"));
  EXPECT_EQ(injected().size(), 1U) << "of a network, which isn't announced";
}

TEST_F(HandedOverTest, AsksBySolicitations) {
  handed_over_->gone(now_, kLaptop);
  arrives("fd00::77");
  const auto asked = injected();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].bytes, ip_frame(kGroupMac77, kLanMac,
                                     nd(135, "fd00::1", "ff02::1:ff00:77", "fd00::77", kLanMac)));
  neighbors_->on_nd(now_, 1, kTakerMac, nd(136, "fd00::2", "ff02::1", "fd00::77", kTakerMac, 0x20));
  const auto sent = injected();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].bytes, ip_frame(kTakerMac, kLanMac, to_peer("fd00::77", 8)));
}

TEST_F(HandedOverTest, OnlyForAWhile) {
  handed_over_->gone(now_, kLaptop);
  arrives("10.0.0.77");
  wait(HandedOver::kFor.value);
  EXPECT_FALSE(tables_.sessions->forwards());
  EXPECT_EQ(handed_over_->counters().dropped, 1U);
  EXPECT_EQ(handed_over_->waiting(), 0U);
  arrives("10.0.0.77");
  announced("10.0.0.77");
  EXPECT_TRUE(injected().empty());
  EXPECT_EQ(handed_over_->counters().dropped, 2U);
}

TEST_F(HandedOverTest, NotForWhoIsHereNorForOthers) {
  EXPECT_TRUE(tables_.routes->add(Prefix::parse("10.0.0.78/32").value(), Target::peer(PeerId{4})));
  handed_over_->gone(now_, kLaptop);
  arrives("10.0.0.78");
  EXPECT_TRUE(injected().empty()) << "it has no session, and had none";
  arrives("10.0.0.77", 8, 0);
  EXPECT_TRUE(injected().empty()) << "the port doesn't answer for peers";
  arrives("10.0.0.77");
  injected();
  handed_over_->back(kLaptop);
  announced("10.0.0.77");
  EXPECT_TRUE(injected().empty()) << "it is here again";
  EXPECT_EQ(handed_over_->counters().dropped, 3U);
}

TEST_F(HandedOverTest, WaitingPacketsAreBounded) {
  handed_over_->gone(now_, kLaptop);
  for (size_t i = 0; i < HandedOver::kPacketsPerAddress + 5; ++i) arrives("10.0.0.77");
  EXPECT_EQ(handed_over_->waiting(), HandedOver::kPacketsPerAddress);
  EXPECT_EQ(handed_over_->counters().dropped, 5U);
  injected();
  announced("10.0.0.77");
  EXPECT_EQ(injected().size(), HandedOver::kPacketsPerAddress);
}

/// One packet to each address of a network would have each asked for, by all hosts of the link,
/// fifty times a second.
TEST_F(HandedOverTest, QuestionsAreBoundedAndEachAddressHasItsTurn) {
  constexpr size_t kMany = 400;
  EXPECT_TRUE(tables_.routes->add(Prefix::parse("10.1.0.0/16").value(), Target::peer(kLaptop)));
  handed_over_->gone(now_, kLaptop);
  std::set<Bytes> asked;
  size_t questions = 0;
  const auto take = [&](const std::vector<Injected>& frames) {
    questions += frames.size();
    for (const Injected& each : frames) asked.insert(each.bytes);
  };
  for (size_t i = 0; i < kMany; ++i) {
    arrives(fmt::format("10.1.{}.{}", i / 200, 1 + i % 200).c_str());
    take(injected());
  }
  EXPECT_LE(questions, HandedOver::kAtOnce);
  for (int ms = 0; ms < 1'000; ++ms) take(wait(1));
  EXPECT_EQ(asked.size(), kMany);
  EXPECT_LE(questions, HandedOver::kAtOnce * (1'000 / HandedOver::kAskAgain.value + 2));
  EXPECT_EQ(handed_over_->waiting(), kMany);
}

TEST_F(HandedOverTest, OwnAndGroupAddressesAreNobodysAnswer) {
  handed_over_->gone(now_, kLaptop);
  arrives("10.0.0.77");
  injected();
  for (const Mac48& mac : {kLanMac, kBroadcastMac}) {
    neighbors_->on_arp(now_, 1, arp(1, mac, "10.0.0.77", {}, "10.0.0.77"));
    EXPECT_TRUE(injected().empty());
  }
}

/// Without a port that answers for peers hosts are elsewhere: nothing is forwarded.
TEST_F(HandedOverTest, NothingWhereNoPortAnswers) {
  ports_[1].answers_for_peers = false;
  handed_over_->gone(now_, kLaptop);
  EXPECT_FALSE(tables_.sessions->forwards());
}

}  // namespace
}  // namespace jvpn::test
