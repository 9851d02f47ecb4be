// What routing daemons learn of a gateway's sessions: the shipping control loop, from a session's
// begin to its end, and when another gateway goes on with it.
#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/matrix/rig.h"
#include "tests/matrix/rows.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using Routes = std::set<std::string>;

/// What a gateway says that it carries.
Routes routes_of(Rig& rig, size_t gateway = 0) {
  Routes found;
  std::istringstream answer(rig.gateway(gateway).ask(R"({"command":"routes"})"));
  bool complete = false;
  for (std::string text; std::getline(answer, text);) {
    const auto line = nlohmann::json::parse(text);
    complete = line.contains("synced") || line.contains("silent");
    for (const auto& prefix : line.value("routes", nlohmann::json::array()))
      found.insert(line["name"].get<std::string>() + " " + prefix.get<std::string>());
  }
  EXPECT_TRUE(complete);
  return found;
}

/// What came at a follower since the last time.
std::string heard(Rig& rig, int follower) {
  rig.run_for(Millis{50});
  char bytes[4'096];
  const ssize_t got = recv(follower, bytes, sizeof bytes, MSG_DONTWAIT);
  return {bytes, static_cast<size_t>(std::max<ssize_t>(got, 0))};
}

std::string first_route() {
  return "client0 " + to_string(Prefix{inner_address(0), 32});
}

TEST(Routes, ASessionsPrefixesWhileItIsCarried) {
  RigOptions options;
  options.clients = 2;
  Rig rig(options);
  const std::string second = "client1 " + to_string(Prefix{inner_address(1), 32});
  EXPECT_EQ(routes_of(rig), Routes{});
  rig.connect(0);
  rig.connect(1);
  EXPECT_EQ(routes_of(rig), (Routes{first_route(), second}));
  EXPECT_NE(rig.gateway().ask(R"({"command":"terminate","peer":"client0"})"), "");
  EXPECT_EQ(routes_of(rig), Routes{second});
}

TEST(Routes, NoneOfAPathlessSession) {
  Rig rig;
  rig.connect();
  EXPECT_EQ(routes_of(rig), Routes{first_route()});
  rig.cut_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); }, Millis{10'000}));
  EXPECT_EQ(routes_of(rig), Routes{});
  rig.mend_all();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{10'000}));
  EXPECT_EQ(routes_of(rig), Routes{first_route()});
}

TEST(Routes, WhatAReloadBrings) {
  Rig rig;
  rig.connect();
  const int follower = rig.gateway().begin_asking(R"({"command":"routes","follow":true})");
  EXPECT_NE(heard(rig, follower).find("synced"), std::string::npos);
  rig.gateway().peers_to_reload.front().inner_addresses.push_back(
      Prefix{IpAddress::v4({10, 1, 0, 99}), 32});
  EXPECT_NE(rig.gateway().ask(R"({"command":"reload"})").find("reloaded"), std::string::npos);
  EXPECT_EQ(routes_of(rig), (Routes{first_route(), "client0 10.1.0.99/32"}));
  EXPECT_NE(heard(rig, follower).find("10.1.0.99/32"), std::string::npos);
  rig.gateway().peers_to_reload.clear();
  EXPECT_NE(rig.gateway().ask(R"({"command":"reload"})").find("reloaded"), std::string::npos);
  EXPECT_EQ(routes_of(rig), Routes{});
  EXPECT_NE(heard(rig, follower).find(R"("routes":[])"), std::string::npos);
  close(follower);
}

TEST(Routes, TheyMoveWithTheSession) {
  TestStore store;
  store.durable = true;
  Rig rig(with(store, 2));
  rig.connect();
  EXPECT_EQ(routes_of(rig, 0), Routes{first_route()});
  const SessionId id = rig.at_gateway().id;
  rig.gateway().engine().shutdown(rig.now());
  EXPECT_EQ(routes_of(rig, 0), Routes{});
  store.stop(0, rig.now());
  rig.cut({0, 1, 2});
  rig.set_candidates(0, {kPaths, kPaths + 1});
  ASSERT_TRUE(rig.run_until([&] { return rig.at_gateway(0, 1).id == id; }, Millis{10'000}));
  EXPECT_EQ(routes_of(rig, 1), Routes{first_route()});
}

/// Another may own the sessions by now.
TEST(Routes, NoneOfASilentGateway) {
  TestStore store;
  store.durable = true;
  Rig rig(with(store));
  rig.connect();
  EXPECT_EQ(routes_of(rig), Routes{first_route()});
  rig.gateway().sessions().set_silent_after(rte_rdtsc());
  EXPECT_EQ(routes_of(rig), Routes{});
  rig.gateway().sessions().set_silent_after(kNoDeadline);
  EXPECT_EQ(routes_of(rig), Routes{first_route()});
}

}  // namespace
}  // namespace jvpn::test
