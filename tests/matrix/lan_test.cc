// Hosts on the LAN that look for the gateway which carries a session now: the shipping control
// loop and workers, from the session's begin to its end, and when another gateway goes on with it.
#include <algorithm>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>
#include <rte_cycles.h>

#include "control/neighbor/arp.h"
#include "control/neighbor/nd.h"
#include "tests/matrix/rig.h"
#include "tests/matrix/rows.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr size_t kIpHeader = 14;
constexpr uint16_t kInsidePort = kWans;
constexpr const char* kPeerV6 = "fd01::2";
constexpr const char* kInsideV6 = "fd00::1";
const IpAddress kHost = IpAddress::v4({10, 0, 0, 7});

/// The first client has an IPv6 address, too.
void answer_inside(GatewayProfile& profile) {
  PortProfile& lan = profile.ports.back();
  lan.answer_for_peers = true;
  lan.addresses.push_back(Prefix{address(kInsideV6), 128});
  profile.peers.front().allowed_ips.push_back(Prefix{address(kPeerV6), 128});
}

RigOptions answering(RigOptions options = {}) {
  options.adjust_profile = answer_inside;
  return options;
}

/// A host on the LAN of all gateways, and what it sees.
class LanHost {
 public:
  explicit LanHost(Rig& rig) : rig_(rig) {
    rig_.inside = [this](size_t gateway, const Bytes& frame) { seen_.push_back({gateway, frame}); };
  }

  /// The gateways that answer a request for the address.
  std::vector<size_t> who_has(const IpAddress& target) {
    Bytes frame(kArpFrameBytes);
    write_arp_frame(std::span<uint8_t, kArpFrameBytes>(frame.data(), kArpFrameBytes), kEverybody,
                    {ArpMessage::Operation::kRequest, kHostMac, kHost, {}, target});
    return answers_to(frame, [&](const Bytes& sent) {
      const auto reply = arp_of(sent);
      return reply && reply->operation == ArpMessage::Operation::kReply &&
             reply->sender == target && reply->sender_mac == kPortMac;
    });
  }
  /// The same by neighbour discovery: of everybody, or of the one that we send to.
  std::vector<size_t> solicit(const IpAddress& target, bool unicast = false) {
    const IpAddress to = unicast ? target : solicited_node_group(target);
    Bytes frame(kNdFrameBytes);
    write_nd_frame(std::span<uint8_t, kNdFrameBytes>(frame.data(), kNdFrameBytes),
                   unicast ? kPortMac : ethernet_group_of(to),
                   {.type = NdMessage::Type::kSolicitation,
                    .source = address("fd00::7"),
                    .destination = to,
                    .target = target,
                    .link_layer = kHostMac});
    return answers_to(frame, [&](const Bytes& sent) {
      const auto reply = nd_of(sent);
      return reply && reply->type == NdMessage::Type::kAdvertisement && reply->solicited &&
             !reply->override && reply->target == target && reply->link_layer == kPortMac;
    });
  }
  /// Announcements of the address that a gateway has sent so far.
  size_t announced(size_t gateway, const IpAddress& of) const {
    return static_cast<size_t>(std::ranges::count_if(seen_, [&](const Seen& each) {
      if (each.gateway != gateway) return false;
      const auto arp = arp_of(each.frame);
      const auto nd = nd_of(each.frame);
      return of.is_v4() ? arp && arp->sender == of && arp->target == of
                        : nd && nd->target == of && nd->override && !nd->solicited;
    }));
  }

 private:
  struct Seen {
    size_t gateway;
    Bytes frame;
  };

  static std::optional<ArpMessage> arp_of(const Bytes& frame) {
    if (get16(frame, 12) != kArpType) return std::nullopt;
    return parse_arp(std::span(frame).subspan(kIpHeader));
  }
  static std::optional<NdMessage> nd_of(const Bytes& frame) {
    if (get16(frame, 12) != kIpv6Type) return std::nullopt;
    return parse_nd(std::span(frame).subspan(kIpHeader));
  }
  template <typename IsAnswer>
  std::vector<size_t> answers_to(const Bytes& frame, IsAnswer is_answer) {
    const size_t before = seen_.size();
    for (size_t i = 0; i < rig_.gateways(); ++i) rig_.gateway(i).receive(kInsidePort, frame);
    rig_.step();
    std::vector<size_t> found;
    for (size_t i = before; i < seen_.size(); ++i)
      if (is_answer(seen_[i].frame)) found.push_back(seen_[i].gateway);
    return found;
  }

  Rig& rig_;
  std::vector<Seen> seen_;
};

using Gateways = std::vector<size_t>;

TEST(Lan, AGatewayAnswersWhileItCarriesTheSession) {
  Rig rig(answering());
  LanHost host(rig);
  const IpAddress v4 = inner_address(0);
  const IpAddress v6 = address(kPeerV6);
  EXPECT_EQ(host.who_has(v4), Gateways{});
  EXPECT_EQ(host.solicit(v6), Gateways{});
  rig.connect();
  EXPECT_EQ(host.who_has(v4), Gateways{0});
  EXPECT_EQ(host.solicit(v6), Gateways{0});
  EXPECT_EQ(host.solicit(v6, true), Gateways{0}) << "it isn't sent into the tunnel";
  EXPECT_EQ(host.announced(0, v4), 1U);
  EXPECT_EQ(host.announced(0, v6), 1U);
  rig.run_for(Millis{2'500});
  EXPECT_EQ(host.announced(0, v4), 2U);
  EXPECT_EQ(host.announced(0, v6), 2U);
  EXPECT_TRUE(rig.jump(1));
  rig.run_for(Millis{2'500});
  EXPECT_EQ(host.announced(0, v4), 2U) << "a jump is no news inside";
  EXPECT_EQ(host.who_has(v4), Gateways{0});

  const auto show = nlohmann::json::parse(rig.gateway().ask(R"({"command":"show"})"));
  const nlohmann::json expected{
      {"answers", 4}, {"announcements", 4}, {"pending", 0}, {"claims", 0}};
  EXPECT_EQ(show["control"]["answers_for_peers"], expected);

  EXPECT_NE(rig.gateway().ask(R"({"command":"terminate","peer":"client0"})"), "");
  EXPECT_EQ(host.who_has(v4), Gateways{});
  EXPECT_EQ(host.solicit(v6), Gateways{});
  EXPECT_EQ(host.announced(0, v4), 2U);
}

TEST(Lan, APortThatDoesNotSaySoStaysSilent) {
  RigOptions options;
  options.adjust_profile = [](GatewayProfile& profile) {
    answer_inside(profile);
    profile.ports.back().answer_for_peers = false;
  };
  Rig rig(options);
  LanHost host(rig);
  rig.connect();
  rig.run_for(Millis{2'500});
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{});
  EXPECT_EQ(host.solicit(address(kPeerV6)), Gateways{});
  EXPECT_EQ(host.announced(0, inner_address(0)), 0U);
}

TEST(Lan, APathlessSessionIsNotAnswered) {
  Rig rig(answering());
  LanHost host(rig);
  rig.connect();
  rig.run_for(Millis{2'500});
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{10'000}));
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{});
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{0});
  rig.run_for(Millis{2'500});
  EXPECT_EQ(host.announced(0, inner_address(0)), 4U) << "another could have had it meanwhile";
}

TEST(Lan, WhatAReloadBringsIsAnnounced) {
  Rig rig(answering());
  LanHost host(rig);
  rig.connect();
  rig.run_for(Millis{2'500});
  const IpAddress fresh = IpAddress::v4({10, 1, 0, 99});
  EXPECT_EQ(host.who_has(fresh), Gateways{});
  rig.gateway().peers_to_reload.front().inner_addresses.push_back(Prefix{fresh, 32});
  EXPECT_NE(rig.gateway().ask(R"({"command":"reload"})").find("reloaded"), std::string::npos);
  EXPECT_EQ(host.who_has(fresh), Gateways{0});
  rig.run_for(Millis{2'500});
  EXPECT_EQ(host.announced(0, fresh), 2U);
}

/// The one that has the session says so; the one that had it is silent.
TEST(Lan, HostsFollowASessionToAnotherGateway) {
  TestStore store;
  store.durable = true;
  Rig rig(answering(with(store, 2)));
  LanHost host(rig);
  const IpAddress v4 = inner_address(0);
  rig.connect();
  EXPECT_EQ(host.who_has(v4), Gateways{0});
  const SessionId id = rig.at_gateway().id;
  rig.gateway().engine().shutdown(rig.now());
  store.stop(0, rig.now());
  rig.cut({0, 1, 2});
  rig.set_candidates(0, {kPaths, kPaths + 1});
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway(0, 1).id == id; }, Millis{10'000}));
  ASSERT_TRUE(rig.run_until([&] { return host.announced(1, v4) == 1; }, Millis{1'000}));
  EXPECT_EQ(host.who_has(v4), Gateways{1});
  EXPECT_EQ(host.solicit(address(kPeerV6)), Gateways{1});
}

/// Another may own the sessions by now: it is the one to answer.
TEST(Lan, WithoutProofAGatewayIsSilentInside) {
  TestStore store;
  store.durable = true;
  Rig rig(answering(with(store)));
  LanHost host(rig);
  rig.connect();
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{0});
  rig.gateway().sessions().set_silent_after(rte_rdtsc());
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{});
  rig.gateway().sessions().set_silent_after(kNoDeadline);
  EXPECT_EQ(host.who_has(inner_address(0)), Gateways{0});
}

}  // namespace
}  // namespace jvpn::test
