// What the client's attendant runs and finds: commands for name servers, /etc/hosts, and the
// process itself.
#include "tools/client/attendant/attendant.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/unit/private_network.h"
#include "tools/client/attendant/dns_settings.h"
#include "tools/client/attendant/name_lookup.h"
#include "tools/shared/run_command.h"

namespace jvpn {
namespace {

using client::attendant::Attendant;
using client::attendant::commands_to_set;
using client::attendant::commands_to_unset;
using client::attendant::DnsMethod;
using client::attendant::Duty;
using client::attendant::News;

DnsProfile dns(std::vector<std::string> domains) {
  return {{*IpAddress::parse("10.77.0.1"), *IpAddress::parse("fd77::1")}, std::move(domains)};
}

std::vector<std::string> typed(const std::vector<Command>& commands) {
  std::vector<std::string> all;
  all.reserve(commands.size());
  for (const Command& each : commands) all.push_back(to_string(each));
  return all;
}

TEST(DnsSettings, ResolvedHasServersAndDomainsOfTheDevice) {
  const auto every = typed(commands_to_set(DnsMethod::kResolved, "jvpn0", "jvpn0", dns({})));
  EXPECT_EQ(every, (std::vector<std::string>{"resolvectl dns jvpn0 10.77.0.1 fd77::1",
                                             "resolvectl domain jvpn0 ~.",
                                             "resolvectl default-route jvpn0 true"}));
  const auto some =
      typed(commands_to_set(DnsMethod::kResolved, "jvpn0", "jvpn0", dns({"corp.example"})));
  EXPECT_EQ(some[1], "resolvectl domain jvpn0 corp.example");
  EXPECT_EQ(some[2], "resolvectl default-route jvpn0 false");
  EXPECT_EQ(typed(commands_to_unset(DnsMethod::kResolved, "jvpn0", "jvpn0")),
            std::vector<std::string>{"resolvectl revert jvpn0"});
}

TEST(DnsSettings, ResolvconfReadsServersAndSearchDomains) {
  const auto commands = commands_to_set(DnsMethod::kResolvconf, "jvpn0", "tun.jvpn0",
                                        dns({"corp.example", "~lab", "~."}));
  ASSERT_EQ(commands.size(), 1U);
  EXPECT_EQ(to_string(commands[0]), "resolvconf -a tun.jvpn0 -m 0 -x");
  EXPECT_EQ(commands[0].input, "nameserver 10.77.0.1\nnameserver fd77::1\nsearch corp.example\n");
}

TEST(DnsSettings, TheRecordGoesBeforeAllOthers) {
  using client::attendant::resolvconf_record;
  EXPECT_EQ(resolvconf_record("jvpn0", ""), "jvpn0");
  EXPECT_EQ(resolvconf_record("jvpn0", "# comment\nlo.inet6\ntun*\neth*\n"), "tun.jvpn0");
  EXPECT_EQ(resolvconf_record("jvpn0", "lo.*\n@(br|eth)*\n"), "jvpn0");
}

TEST(RunCommand, SaysWhatWentWrong) {
  const auto echoed = run_command({{"cat"}, "one\ntwo\n"}, std::chrono::seconds(10));
  ASSERT_TRUE(echoed);
  EXPECT_EQ(*echoed, "one\ntwo");
  const auto failed = run_command({{"sh", "-c", "echo why >&2; exit 3"}}, std::chrono::seconds(10));
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("exit code 3: why"), std::string::npos);
  const auto missing = run_command({{"no-such-program"}}, std::chrono::seconds(10));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos);
  const auto slow = run_command({{"sleep", "60"}}, std::chrono::milliseconds(50));
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("no end within 50 ms"), std::string::npos);
}

News next(Attendant& attendant) {
  pollfd one{attendant.descriptor(), POLLIN, 0};
  EXPECT_GT(poll(&one, 1, 20'000), 0) << "no answer";
  return attendant.take().value_or(News{});
}

TEST_F(PrivateNetwork, TheAttendantLooksNamesUpAndEndsWithItsClient) {
  run([] {
    // A namespace without a name server: /etc/hosts alone answers.
    const Duty duty{"jvpn9", {}, {{"localhost", 51'900, {}}, {"no-such-name.invalid", 51'900, {}}}};
    auto attendant = Attendant::start(duty, false);
    ASSERT_TRUE(attendant) << attendant.error().message;
    (*attendant)->look_up(std::nullopt);
    const News news = next(**attendant);
    ASSERT_EQ(news.addresses.size(), 2U);
    ASSERT_FALSE(news.addresses[0].empty());
    EXPECT_EQ(to_string(news.addresses[0][0]), "127.0.0.1");
    EXPECT_TRUE(news.addresses[1].empty());
    EXPECT_FALSE(news.failures[1].empty());
  });
}

TEST(ProfileNames, AddressesJoinTheGatewayThatTheNameIsOf) {
  PeerProfile peer;
  peer.name = "gateway";
  peer.endpoints = {*Endpoint::parse("192.0.2.1:51900")};
  peer.cluster = {{"second", {}}};
  peer.named = {{"a.example", 51'900, {}}, {"b.example", 51'901, GatewayNumber{1}}};
  const IpAddress one = *IpAddress::parse("192.0.2.1");
  const IpAddress two = *IpAddress::parse("192.0.2.2");
  const PeerProfile whole = with_addresses(peer, {{one, two}, {two}});
  EXPECT_EQ(whole.endpoints.size(), 2U) << "what is there isn't added";
  EXPECT_EQ(whole.cluster[0].endpoints, std::vector{*Endpoint::parse("192.0.2.2:51901")});
}

}  // namespace
}  // namespace jvpn
