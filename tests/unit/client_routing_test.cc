// The client's routes and rules as a plan, and on a real kernel in a namespace of the test's own.
// The latter is skipped without the right to make one.
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/support/rooms.h"
#include "tests/unit/private_network.h"
#include "tools/client/tunnel/kill_switch.h"
#include "tools/client/tunnel/routing.h"
#include "tools/client/tunnel/tunnel_interface.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn {
namespace {

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}
Endpoint endpoint(const char* text) {
  return *Endpoint::parse(text);
}

// --- the plan ---

TEST(RoutingPlanTest, OrdinaryPrefixesAreMainRoutes) {
  const std::vector<Prefix> allowed{prefix("10.99.0.0/24"), prefix("fd99::/64")};
  const std::vector<Endpoint> endpoints{endpoint("192.0.2.1:51900")};
  const RoutingPlan plan = plan_routing(allowed, endpoints, 7, 0);
  ASSERT_EQ(plan.guards.size(), 2U);
  for (const netlink::Route& guard : plan.guards) {
    EXPECT_EQ(guard.table, 254U);
    EXPECT_EQ(guard.device, 0) << "unreachable";
    EXPECT_EQ(guard.metric, 7U);
  }
  EXPECT_TRUE(plan.rules.empty());
}

TEST(RoutingPlanTest, FullTunnelGoesByItsOwnTable) {
  const std::vector<Prefix> allowed{prefix("0.0.0.0/0"), prefix("10.99.0.0/24"), prefix("::/0")};
  const std::vector<Endpoint> endpoints{endpoint("192.0.2.1:51900")};
  const RoutingPlan plan = plan_routing(allowed, endpoints, 7, 3);
  EXPECT_EQ(plan.guards[0].table, routing_mark(3));
  EXPECT_EQ(plan.guards[1].table, 254U);
  EXPECT_EQ(plan.guards[2].table, routing_mark(3));
  ASSERT_EQ(plan.rules.size(), 5U);  // v4: endpoint, suppress, mark; v6: suppress, mark
  EXPECT_EQ(plan.rules[0].udp_to, endpoints[0]);
  EXPECT_EQ(plan.rules[1].suppress_up_to, 7);
  EXPECT_EQ(plan.rules[2].not_mark, routing_mark(3));
  EXPECT_EQ(plan.rules[3].family, Family::kIpv6);
  EXPECT_EQ(plan.rules[3].suppress_up_to, 6);
}

TEST(RoutingPlanTest, PrefixAroundTheEndpointGoesByItsOwnTable) {
  const std::vector<Prefix> allowed{prefix("10.0.0.0/8"), prefix("172.16.0.0/12")};
  const std::vector<Endpoint> endpoints{endpoint("10.1.2.3:51900")};
  const RoutingPlan plan = plan_routing(allowed, endpoints, 7, 0);
  EXPECT_EQ(plan.guards[0].table, routing_mark(0));
  EXPECT_EQ(plan.guards[1].table, 254U);
  EXPECT_EQ(plan.rules.at(1).suppress_up_to, 8);
}

TEST(RoutingPlanTest, WithTheKillSwitchAllElseIsUnreachable) {
  const std::vector<Prefix> allowed{prefix("10.99.0.0/24"), prefix("::/0")};
  const std::vector<Endpoint> endpoints{endpoint("192.0.2.1:51900")};
  const RoutingPlan plan = plan_routing(allowed, endpoints, 7, 0, Reach::kEverything);
  ASSERT_EQ(plan.carried, 2U);
  ASSERT_EQ(plan.guards.size(), 3U) << "::/0 is there already";
  EXPECT_EQ(plan.guards[2].to, prefix("0.0.0.0/0"));
  for (const netlink::Route& guard : plan.guards) EXPECT_EQ(guard.table, routing_mark(0));
  EXPECT_EQ(plan.rules.size(), 5U);  // v4: endpoint, local networks, mark; v6: the latter two
}

TEST(RoutingPlanTest, WhoseAddressesMayChangeHasAllInItsOwnTable) {
  const std::vector<Prefix> allowed{prefix("10.99.0.0/24")};
  const RoutingPlan plan = plan_routing(allowed, {}, 7, 0, Reach::kOwnTable);
  ASSERT_EQ(plan.guards.size(), 1U);
  EXPECT_EQ(plan.guards[0].table, routing_mark(0));
  EXPECT_EQ(plan.rules.size(), 2U);
}

TEST(KillSwitchTest, RulesNameTheInterfaceAndTheMark) {
  const std::string rules = client::tunnel::kill_switch_rules("jvpn0", 51'900);
  EXPECT_EQ(rules.find("table inet jvpn-jvpn0\ndelete table inet jvpn-jvpn0\n"), 0U);
  EXPECT_NE(rules.find("oifname { \"lo\", \"jvpn0\" } accept"), std::string::npos);
  EXPECT_NE(rules.find("meta mark 51900 accept"), std::string::npos);
}

// --- a real kernel ---

TEST_F(PrivateNetwork, TheKillSwitchLeavesNoWayButTheTunnels) {
  run([] {
    const std::string before = output_of("ip route show table all; ip rule; ip -6 rule");
    const auto leads_out = [](const std::string& where) {
      return output_of("ip route get " + where).find("dev wan0") != std::string::npos;
    };
    ASSERT_TRUE(leads_out("192.0.2.77") && leads_out("203.0.113.5"));
    {
      auto tunnel =
          TunnelInterface::create("jvpn0", std::vector{prefix("10.99.0.0/24")},
                                  std::vector{endpoint("198.51.100.1:51900")}, Reach::kEverything);
      ASSERT_TRUE(tunnel) << tunnel.error().message;
      const auto done = (*tunnel)->configure({prefix("10.77.0.2/32")}, 1'420);
      ASSERT_TRUE(done) << done.error().message;
      for (const char* where : {"203.0.113.5", "2001:db8:9::1"})
        EXPECT_FALSE(leads_out(where)) << where;
      EXPECT_NE(output_of("ip route get 10.99.0.7").find("dev jvpn0"), std::string::npos);
      const std::string mark = " mark " + std::to_string(*(*tunnel)->mark());
      EXPECT_TRUE(leads_out("198.51.100.1" + mark));

      const auto moved = (*tunnel)->set_endpoints(std::vector{endpoint("198.51.100.2:51900")});
      ASSERT_TRUE(moved) << moved.error().message;
      EXPECT_TRUE(leads_out("198.51.100.2 ipproto udp dport 51900"));
      EXPECT_FALSE(leads_out("198.51.100.1 ipproto udp dport 51900"));
      output_of("ip rule del pref 5192");
      ASSERT_TRUE(leads_out("203.0.113.5"));
      const auto restored = (*tunnel)->restore();
      ASSERT_TRUE(restored);
      EXPECT_FALSE(leads_out("203.0.113.5")) << "somebody took the rule away";
    }
    EXPECT_FALSE(leads_out("203.0.113.5")) << "after a crash, too";
    ASSERT_TRUE(release_guards("jvpn0"));
    EXPECT_EQ(output_of("ip route show table all; ip rule; ip -6 rule"), before);
  });
}

TEST_F(PrivateNetwork, SplitTunnelComesAndGoes) {
  run([] {
    const std::string before = output_of("ip addr; ip route; ip -6 route; ip rule; ip -6 rule");
    {
      auto tunnel =
          TunnelInterface::create("jvpn0", std::vector{prefix("10.99.0.0/24"), prefix("fd99::/64")},
                                  std::vector{endpoint("192.0.2.1:51900")});
      ASSERT_TRUE(tunnel) << tunnel.error().message;
      EXPECT_FALSE((*tunnel)->mark());
      auto done = (*tunnel)->configure({prefix("10.77.0.2/24"), prefix("fd77::2/128")}, 1'420);
      ASSERT_TRUE(done) << done.error().message;
      EXPECT_NE(output_of("ip route").find("10.99.0.0/24 dev jvpn0"), std::string::npos);
      EXPECT_NE(output_of("ip -6 route").find("fd99::/64 dev jvpn0"), std::string::npos);
      EXPECT_EQ(output_of("ip route").find("10.77.0.0"), std::string::npos);
      EXPECT_NE(output_of("ip link show jvpn0").find("mtu 1420"), std::string::npos);
      EXPECT_EQ(output_of("ip addr show jvpn0").find("fe80"), std::string::npos);

      done = (*tunnel)->configure({prefix("10.77.0.3/32")}, 1'400);
      ASSERT_TRUE(done) << done.error().message;
      const std::string addresses = output_of("ip addr show jvpn0");
      EXPECT_NE(addresses.find("10.77.0.3/32"), std::string::npos);
      EXPECT_EQ(addresses.find("10.77.0.2"), std::string::npos);
      EXPECT_EQ(addresses.find("fd77::2"), std::string::npos);
      EXPECT_NE(addresses.find("mtu 1400"), std::string::npos);
    }
    EXPECT_NE(output_of("ip route").find("unreachable 10.99.0.0/24"), std::string::npos);
    EXPECT_NE(output_of("ip -6 route").find("unreachable fd99::/64"), std::string::npos);
    const auto released = release_guards("jvpn0");
    ASSERT_TRUE(released) << released.error().message;
    EXPECT_EQ(*released, 2U);
    EXPECT_EQ(output_of("ip addr; ip route; ip -6 route; ip rule; ip -6 rule"), before);
  });
}

TEST_F(PrivateNetwork, FullTunnelKeepsItsOwnPacketsOutside) {
  run([] {
    const std::string before = output_of("ip route show table all; ip rule; ip -6 rule");
    {
      auto tunnel =
          TunnelInterface::create("jvpn0", std::vector{prefix("0.0.0.0/0"), prefix("::/0")},
                                  std::vector{endpoint("198.51.100.1:51900")});
      ASSERT_TRUE(tunnel) << tunnel.error().message;
      ASSERT_TRUE((*tunnel)->mark());
      auto done = (*tunnel)->configure({prefix("10.77.0.2/32"), prefix("fd77::2/128")}, 1'420);
      ASSERT_TRUE(done) << done.error().message;
      const auto device_to = [](const std::string& how) {
        return output_of("ip route get " + how);
      };
      const auto by = [](const std::string& text, const char* device) {
        return text.find(std::string("dev ") + device) != std::string::npos;
      };
      EXPECT_TRUE(by(device_to("203.0.113.5"), "jvpn0"));
      EXPECT_TRUE(by(device_to("198.51.100.1"), "jvpn0"));
      EXPECT_TRUE(by(device_to("192.0.2.77"), "wan0")) << "a more specific route of main";
      const std::string mark = std::to_string(*(*tunnel)->mark());
      EXPECT_TRUE(by(device_to("198.51.100.1 mark " + mark), "wan0"));
      EXPECT_TRUE(by(device_to("198.51.100.1 ipproto udp dport 51900"), "wan0"));
      EXPECT_TRUE(by(output_of("ip -6 route get 2001:db8:9::1"), "jvpn0"));

      Underlay underlay(0, {"wan0", "wan0", std::nullopt}, (*tunnel)->mark());
      const auto path = underlay.path_to(endpoint("198.51.100.1:51900"));
      ASSERT_TRUE(path) << path.error().message;
      EXPECT_EQ(to_string(path->local.address), "192.0.2.2");
      EXPECT_NE(path->local.port, 0);
      EXPECT_EQ(underlay.inner_mtu(path->remote), 1'440);
      const auto released = (*tunnel)->release();
      ASSERT_TRUE(released) << released.error().message;
    }
    EXPECT_EQ(output_of("ip route show table all; ip rule; ip -6 rule"), before);
  });
}

TEST_F(PrivateNetwork, RulesToAnEmptyTableAreRemoved) {
  run([] {
    const std::string before = output_of("ip rule; ip -6 rule");
    auto netlink = std::move(Netlink::open()).value();
    const std::vector<Prefix> allowed{prefix("0.0.0.0/0")};
    const std::vector<Endpoint> endpoints{endpoint("198.51.100.1:51900")};
    for (const Rule& rule : plan_routing(allowed, endpoints, 1, 0).rules)
      ASSERT_TRUE(netlink->add_rule(rule));
    EXPECT_NE(output_of("ip rule; ip -6 rule"), before);
    const auto slot = claim_routing_slot(*netlink, 1);
    ASSERT_TRUE(slot) << slot.error().message;
    EXPECT_EQ(*slot, 0U);
    EXPECT_EQ(output_of("ip rule; ip -6 rule"), before);
  });
}

TEST_F(PrivateNetwork, WhatIsGoneAlreadyCountsAsRemoved) {
  run([] {
    auto opened = Netlink::open();
    ASSERT_TRUE(opened);
    Netlink* const netlink = opened->get();
    const netlink::Route guard{prefix("10.99.0.0/24"), 0, 254, 7};
    const netlink::Route guard6{prefix("fd99::/64"), 0, 254, 7};
    const std::vector<Prefix> full{prefix("0.0.0.0/0"), prefix("::/0")};
    for (const netlink::Route& route : {guard, guard6}) {
      ASSERT_TRUE(netlink->add_route(route));
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(netlink->remove_route(route)) << to_string(route.to);
    }
    for (const Rule& rule : plan_routing(full, {}, 7, 0).rules)
      EXPECT_TRUE(netlink->remove_rule(rule));
    EXPECT_TRUE(netlink->remove_address(1, prefix("10.77.0.2/32")));
    EXPECT_TRUE(netlink->our_routes()->empty());
  });
}

constexpr const char* kRouting =
    "ip route show table all; ip -6 route show table all; ip rule; ip -6 rule";

TEST_F(PrivateNetwork, GuardsStandBeforeTheDeviceIsUpAndOutliveIt) {
  run([] {
    const std::string before = output_of(kRouting);
    const auto closed = [](const char* address) {
      const std::string answer = output_of(std::string("ip route get ") + address);
      return answer.find("unreachable") != std::string::npos ||
             answer.find("No route to host") != std::string::npos;
    };
    const std::vector<Prefix> allowed{prefix("0.0.0.0/0"), prefix("::/0")};
    const std::vector<Endpoint> endpoints{endpoint("198.51.100.1:51900")};
    std::string left;
    for (int life = 0; life < 2; ++life) {
      auto tunnel = TunnelInterface::create("jvpn0", allowed, endpoints);
      ASSERT_TRUE(tunnel) << tunnel.error().message;
      EXPECT_TRUE(closed("203.0.113.5") && closed("2001:db8:9::1")) << "not attached yet";
      EXPECT_FALSE(release_guards("jvpn0")) << "its client runs";
      ASSERT_TRUE((*tunnel)->configure({prefix("10.77.0.2/32"), prefix("fd77::2/128")}, 1'420));
      EXPECT_FALSE(closed("203.0.113.5") || closed("2001:db8:9::1"));
      tunnel->reset();  // as a killed client leaves it: the kernel takes the device away
      EXPECT_TRUE(closed("203.0.113.5") && closed("2001:db8:9::1")) << "the client is gone";
      if (life == 1) {
        EXPECT_EQ(output_of(kRouting), left) << "the second one adopted everything";
      }
      left = output_of(kRouting);
    }
    const auto released = release_guards("jvpn0");
    ASSERT_TRUE(released) << released.error().message;
    EXPECT_EQ(*released, 2U);
    EXPECT_EQ(output_of(kRouting), before);
  });
}

TEST_F(PrivateNetwork, GuardsFollowAChangedProfileAndOtherClientsKeepTheirs) {
  run([] {
    const std::vector<Endpoint> old_endpoint{endpoint("198.51.100.1:51900")};
    ASSERT_TRUE(TunnelInterface::create("jvpn1", std::vector{prefix("0.0.0.0/0")}, old_endpoint));
    const std::string others = output_of(kRouting);
    ASSERT_TRUE(TunnelInterface::create("jvpn0", std::vector{prefix("0.0.0.0/0"), prefix("::/0")},
                                        old_endpoint));
    const std::vector<Prefix> split{prefix("10.99.0.0/24")};
    ASSERT_TRUE(TunnelInterface::create("jvpn0", split, old_endpoint));
    const std::string now = output_of(kRouting);
    EXPECT_NE(now.find("unreachable 10.99.0.0/24"), std::string::npos);
    EXPECT_EQ(now.find("table 51901"), std::string::npos) << now;
    ASSERT_TRUE(release_guards("jvpn0"));
    EXPECT_EQ(output_of(kRouting), others);
  });
}

TEST_F(PrivateNetwork, RoutesWiderThanLocalNetworksDontGoBeforeTheTunnel) {
  run([] {
    output_of("ip route add 0.0.0.0/1 dev wan0; ip route add 128.0.0.0/1 dev wan0");
    output_of("ip -6 route add ::/1 dev wan0; ip -6 route add 2000::/3 dev wan0");
    output_of("ip route add 10.0.0.0/8 dev wan0; ip -6 route add fc00::/7 dev wan0");
    const auto leaves = [](const char* address) {
      return output_of(std::string("ip route get ") + address).find("dev wan0") !=
             std::string::npos;
    };
    for (const char* far : {"203.0.113.5", "9.9.9.9", "2620:fe::9"}) EXPECT_TRUE(leaves(far));
    const std::vector<Prefix> allowed{prefix("0.0.0.0/0"), prefix("::/0")};
    const auto tunnel =
        TunnelInterface::create("jvpn0", allowed, std::vector{endpoint("198.51.100.1:51900")});
    ASSERT_TRUE(tunnel) << tunnel.error().message;
    for (const char* far : {"203.0.113.5", "9.9.9.9", "2620:fe::9"}) EXPECT_FALSE(leaves(far));
    for (const char* local : {"192.0.2.7", "10.1.2.3", "2001:db8::7", "fd00::7"})
      EXPECT_TRUE(leaves(local)) << local;
    EXPECT_TRUE(leaves("198.51.100.1 ipproto udp dport 51900")) << "the gateway";
  });
}

TEST_F(PrivateNetwork, RoutesThatGoBeforeAGuardAreNamed) {
  run([] {
    output_of("ip route add 10.99.0.0/24 dev wan0 metric 100; ip route add 10.99.0.0/25 dev wan0");
    output_of(
        "ip -6 route add fd99::/64 dev wan0 metric 50; ip route add unreachable 10.98.0.0/24");
    const std::vector<Prefix> allowed{prefix("10.98.0.0/24"), prefix("10.99.0.0/24"),
                                      prefix("fd99::/64"), prefix("10.97.0.0/24")};
    const auto tunnel = TunnelInterface::create("jvpn0", allowed, {});
    ASSERT_TRUE(tunnel) << tunnel.error().message;
    const auto before = (*tunnel)->routes_before_guards();
    ASSERT_TRUE(before) << before.error().message;
    EXPECT_EQ(*before,
              (std::vector<std::string>{"10.99.0.0/24 metric 100", "fd99::/64 metric 50"}));
  });
}

TEST_F(PrivateNetwork, HostIsClosedWhileNothingIsMissing) {
  run([] {
    const std::vector<Prefix> allowed{prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.99.0.0/24")};
    const std::vector<Endpoint> endpoints{endpoint("198.51.100.1:51900")};
    const auto closed = [&] { return host_is_closed("jvpn0", allowed, endpoints); };
    EXPECT_FALSE(closed());
    for (const char* loss :
         {"ip route flush table 51900", "ip -6 route flush table 51900", "ip rule del pref 5190",
          "ip rule del pref 5191", "ip -6 rule del pref 5192",
          "ip route del unreachable 10.99.0.0/24 metric $(ip route show 10.99.0.0/24 | "
          "sed 's/.*metric //')"}) {
      ASSERT_TRUE(TunnelInterface::create("jvpn0", allowed, endpoints));
      EXPECT_TRUE(closed());
      output_of(loss);
      EXPECT_FALSE(closed()) << loss;
    }
  });
}

TEST_F(PrivateNetwork, WhatSomebodyTakesAwayIsSetAgain) {
  run([] {
    const std::vector<Prefix> allowed{prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.99.0.0/24")};
    const std::vector<Endpoint> endpoints{endpoint("198.51.100.1:51900")};
    auto created = TunnelInterface::create("jvpn0", allowed, endpoints);
    ASSERT_TRUE(created) << created.error().message;
    TunnelInterface& tunnel = **created;
    const auto restored = [&] {
      pollfd one{tunnel.guards_descriptor(), POLLIN, 0};
      EXPECT_GT(::poll(&one, 1, 5'000), 0) << "not announced";
      EXPECT_TRUE(tunnel.take_guard_news().ours_went);
      const auto names = tunnel.restore();
      EXPECT_TRUE(names) << names.error().message;
      return names ? names->size() : 0;
    };
    const auto take_away = [] {
      output_of("ip rule del pref 5191; ip -6 rule del pref 5192; ip route flush table 51900");
      output_of("ip -6 route flush table 51900; ip route flush 10.99.0.0/24");
    };
    const auto ours = [] {
      return output_of(std::string("(") + kRouting + ") | grep 'proto 190'");
    };
    const std::string closed = ours();
    take_away();
    EXPECT_EQ(restored(), 5U) << "two rules, three guards";
    EXPECT_EQ(ours(), closed);

    ASSERT_TRUE(tunnel.configure({prefix("10.77.0.2/32"), prefix("fd77::2/128")}, 1'420));
    const std::string attached = ours();
    take_away();
    EXPECT_EQ(restored(), 8U) << "and three routes";
    EXPECT_EQ(ours(), attached);
  });
}

TEST_F(PrivateNetwork, TwoClientsTakeTwoTables) {
  run([] {
    const auto start = [](const char* name) {
      auto tunnel = TunnelInterface::create(name, std::vector{prefix("0.0.0.0/0")},
                                            std::vector{endpoint("198.51.100.1:51900")});
      EXPECT_TRUE(tunnel);
      EXPECT_TRUE((*tunnel)->configure({prefix("10.77.0.2/32")}, 1'420));
      return std::move(tunnel).value();
    };
    const auto first = start("jvpn0");
    const auto second = start("jvpn1");
    EXPECT_NE(first->mark(), second->mark());
  });
}

TEST_F(PrivateNetwork, ErrorsNameTheThingAndTheCause) {
  run([] {
    auto tunnel = TunnelInterface::create("jvpn0", std::vector{prefix("192.0.2.0/24")}, {});
    ASSERT_TRUE(tunnel);
    output_of("ip route add 192.0.2.0/24 dev wan0 proto static");
    auto taken = TunnelInterface::create("jvpn0", {}, {});
    ASSERT_FALSE(taken);
    EXPECT_NE(taken.error().message.find("jvpn0"), std::string::npos);
    auto done = (*tunnel)->configure({prefix("10.77.0.2/32")}, 1'420);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("route 192.0.2.0/24: File exists"), std::string::npos)
        << done.error().message;
    done = (*tunnel)->configure({prefix("10.77.0.2/32")}, 1);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("mtu"), std::string::npos) << done.error().message;

    Underlay missing(0, {"lte", "wwan9", std::nullopt}, std::nullopt);
    const auto path = missing.path_to(endpoint("192.0.2.1:51900"));
    ASSERT_FALSE(path);
    EXPECT_NE(path.error().message.find("wwan9"), std::string::npos) << path.error().message;
    EXPECT_EQ(missing.inner_mtu(endpoint("192.0.2.1:51900")), 0);
  });
}

}  // namespace
}  // namespace jvpn
