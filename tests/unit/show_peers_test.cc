// Peers as `jvpn show` has them: those that are connected, that were, and that never came.
#include "tools/jvpn/show_peers.h"

#include "tests/unit/command_rig.h"
#include "tools/jvpn/show.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

Json peer_of(const char* name) {
  return {{"name", name},
          {"public_key", "KEY"},
          {"preshared_key", true},
          {"allowed_ips", {"10.77.0.2/32", "fd77::2/128"}},
          {"endpoints", Json::array()},
          {"enabled", true}};
}

Json some_reply() {
  Json reply{{"node", "gw1"}, {"role", "gateway"}, {"uptime_ms", 9'000}, {"policy_version", 7}};
  reply["peers"] = {peer_of("never"), peer_of("here"), peer_of("gone"), peer_of("off")};
  reply["peers"][1]["session"] = {
      {"state", "ATTACHED"},         {"state_version", 12},   {"remote", "192.0.2.2:40000"},
      {"local", "192.0.2.1:51900"},  {"rx_bytes", 1'258'291}, {"tx_bytes", 950},
      {"handshake_ms_ago", 184'500}, {"loss_in", 0.0123},     {"rtt_us", 1'234},
      {"reason", "HANDSHAKE_OK"}};
  reply["peers"][2]["ended"] = {{"ms_ago", 3'600'000},
                                {"reason", "POLICY_TERMINATION"},
                                {"detail", "peer_terminate"},
                                {"handshake_ms_ago", 3'661'000}};
  reply["peers"][3]["enabled"] = false;
  reply["peers"][3]["preshared_key"] = false;
  reply["peers"][3]["endpoints"] = {"198.51.100.9:51900"};
  return reply;
}

TEST(ShowPeers, ReadsAsWireGuardUsersExpect) {
  EXPECT_EQ(render_peers(some_reply(), false), R"(
peer: here
  public key:       KEY
  preshared key:    (hidden)
  endpoint:         192.0.2.2:40000
  allowed ips:      10.77.0.2/32, fd77::2/128
  latest handshake: 3 minutes, 4 seconds ago
  state:            ATTACHED, version 12
  transfer:         1.20 MiB received, 950 B sent
  path:             192.0.2.1:51900 to 192.0.2.2:40000
  quality:          loss in 1.2 %, out -; round trip 1.2 ms
  last reason:      HANDSHAKE_OK

peer: gone
  public key:       KEY
  preshared key:    (hidden)
  endpoint:         (none)
  allowed ips:      10.77.0.2/32, fd77::2/128
  latest handshake: 1 hour, 1 minute ago
  state:            no session, ended 1 hour ago
  last reason:      POLICY_TERMINATION (peer_terminate)

peer: never
  public key:       KEY
  preshared key:    (hidden)
  endpoint:         (none)
  allowed ips:      10.77.0.2/32, fd77::2/128
  latest handshake: none that is remembered
  state:            no session

peer: off
  public key:       KEY
  endpoint:         198.51.100.9:51900
  allowed ips:      10.77.0.2/32, fd77::2/128
  latest handshake: none that is remembered
  state:            disabled
)");
  EXPECT_NE(render_peers(some_reply(), true).find("\033[32mATTACHED"), std::string::npos);
  EXPECT_EQ(render_peers({{"role", "client"}}, false), "");
  EXPECT_NE(render_show(some_reply(), false).find("peer: never"), std::string::npos);
}

TEST(ShowPeers, DumpsALineEach) {
  const std::string dump = dump_peers(some_reply(), 1'000'000);
  EXPECT_EQ(
      dump.substr(0, dump.find("gone")),
      "gw1\tgateway\t9000\t7\n"
      "never\tKEY\t(hidden)\t(none)\t10.77.0.2/32,fd77::2/128\t0\t0\t0\toff\t-\t-\t-\t-\t-\t-\t-\n"
      "here\tKEY\t(hidden)\t192.0.2.2:40000\t10.77.0.2/32,fd77::2/128\t999816\t1258291\t950\toff"
      "\tATTACHED\t12\t192.0.2.1:51900\t0.0123\t-\t1234\tHANDSHAKE_OK\n");
  EXPECT_NE(dump.find("gone\tKEY\t(hidden)\t(none)\t10.77.0.2/32,fd77::2/128\t996339\t"),
            std::string::npos)
      << dump;
  for (size_t at = dump.find('\n') + 1; at < dump.size();) {
    const size_t end = dump.find('\n', at);
    EXPECT_EQ(std::count(dump.begin() + static_cast<long>(at),
                         dump.begin() + static_cast<long>(end), '\t'),
              15);
    at = end + 1;
  }
}

TEST_F(CommandTest, ShowAsksAGatewayForItsPeersPageByPage) {
  Json show{{"role", "gateway"},
            {"sessions", {{{"peer", "b"}, {"state", "ATTACHED"}}}},
            {"terminated", {{{"peer", "a"}, {"reason", "X"}}, {{"peer", "a"}, {"reason", "Y"}}}}};
  pages_ = {show, {{"peers", {peer_of("a")}}, {"next", 9}}, {{"peers", {peer_of("b")}}}};
  const auto whole = run([this] { return run_show(path("admin"), true); });
  EXPECT_EQ(whole.status, 0) << whole.err;
  const Json peers = Json::parse(whole.out)["peers"];
  ASSERT_EQ(peers.size(), 2U);
  EXPECT_EQ(peers[0]["ended"]["reason"], "Y") << "the latest";
  EXPECT_EQ(peers[1]["session"]["state"], "ATTACHED");
  EXPECT_EQ(requests_.at(2), (Json{{"command", "peers"}, {"from", 9}}));

  Json many = Json::array();
  for (size_t i = 0; i < kShownPeers + 5; ++i) many.push_back(peer_of("a"));
  pages_ = {show, {{"peers", many}, {"next", 999}}, {{"peers", {peer_of("b")}}}};
  const auto bounded = run([this] { return run_show(path("admin"), false); });
  EXPECT_NE(bounded.out.find("more peers than these 200: jvpn show dump has all"),
            std::string::npos);
  EXPECT_EQ(requests_.back(), (Json{{"command", "peers"}, {"name", "b"}}));
  EXPECT_LT(bounded.out.find("peer: b\n"), bounded.out.find("peer: a\n"));
  answer_ = {{"peers", Json::array()}, {"next", 0}};
  pages_ = {show};
  EXPECT_EQ(run([this] { return run_dump(path("admin")); }).status, 1) << "no end";
}

}  // namespace
}  // namespace jvpn::test
