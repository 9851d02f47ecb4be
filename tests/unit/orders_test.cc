// `jvpn reload`, `terminate`, `drain`, `watch` and `check` as they are run: output, errors, exit
// status.
#include "tools/jvpn/orders.h"

#include <gtest/gtest.h>

#include "tests/unit/command_rig.h"
#include "tools/jvpn/check.h"
#include "tools/jvpn/drain.h"
#include "tools/jvpn/show.h"
#include "tools/jvpn/watch.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

using OrdersTest = CommandTest;

TEST_F(OrdersTest, ShowAsksForEveryPage) {
  const auto page = [](const char* id) { return Json{{"sessions", {{{"session_id", id}}}}}; };
  pages_ = {page("a"), page("b"), page("c")};
  pages_[0]["node"] = "gw";
  pages_[0]["next"] = 32;
  pages_[1]["next"] = 2'048;
  pages_[2] = {{"terminated", {{{"session_id", "c"}}}}};
  const auto outcome = run([this] { return run_show(path("admin"), true); });
  EXPECT_EQ(outcome.status, 0);
  const Json all = Json::parse(outcome.out);
  EXPECT_EQ(all["node"], "gw");
  EXPECT_EQ(all["sessions"].size(), 2U);
  EXPECT_EQ(all["terminated"].size(), 1U);
  EXPECT_FALSE(all.contains("next"));
  ASSERT_EQ(requests_.size(), 3U);
  EXPECT_EQ(requests_[0], (Json{{"command", "show"}}));
  EXPECT_EQ(requests_[2], (Json{{"command", "show"}, {"from", 2'048}}));
}

TEST_F(OrdersTest, PagesThatComeToNoEndAreRefused) {
  answer_ = {{"sessions", Json::array()}, {"next", 7}};
  const auto outcome = run([this] { return run_show(path("admin"), false); });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("doesn't come to an end"), std::string::npos);
}

TEST_F(OrdersTest, ReloadTellsTheVersion) {
  answer_ = {{"reloaded", {{"policy_version", 8}}}};
  const auto outcome = run([this] { return run_reload(path("admin"), false); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "policy version 8 is in force\n");
  EXPECT_EQ(requests_.at(0), (Json{{"command", "reload"}}));
  EXPECT_EQ(run([this] { return run_reload(path("admin"), true); }).out, answer_.dump() + "\n");
}

TEST_F(OrdersTest, ARefusedReloadTellsEveryFinding) {
  answer_ = {{"error", "gw.yaml:3:4: policy.version: expected a, got b\x1b\ngw.yaml:5:6: x\n"}};
  const auto outcome = run([this] { return run_reload(path("admin"), false); });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "gw.yaml:3:4: policy.version: expected a, got b?\ngw.yaml:5:6: x\n\n");
}

TEST_F(OrdersTest, ReloadTellsPeersAndWhatNeedsARestart) {
  answer_ = {{"reloaded",
              {{"policy_version", 8},
               {"peers", {{"added", 3}, {"removed", 2}, {"changed", 1}}},
               {"needs_restart", Json::array()}}}};
  const auto whole = run([this] { return run_reload(path("admin"), false); });
  EXPECT_EQ(whole.status, 0);
  EXPECT_EQ(whole.out, "policy version 8 is in force\npeers: 3 added, 2 removed, 1 changed\n");
  answer_["reloaded"]["needs_restart"] = {"ports", "crypto.su\x1bites"};
  const auto partly = run([this] { return run_reload(path("admin"), false); });
  EXPECT_EQ(partly.status, 4);
  EXPECT_EQ(partly.out, whole.out);
  EXPECT_EQ(partly.err,
            "jvpn: changed in the profile, but only a restart applies it: ports, crypto.su?ites\n");
  EXPECT_EQ(run([this] { return run_reload(path("admin"), true); }).status, 4);
  answer_["reloaded"]["peers"]["failed"] = {"no memory"};
  const auto failed = run([this] { return run_reload(path("admin"), false); });
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.err, "jvpn: not all of it could be applied, restart the program: no memory\n");
}

TEST_F(OrdersTest, TerminateNamesThePeer) {
  answer_ = {{"terminated", "laptop"}};
  const auto outcome = run([this] { return run_terminate(path("admin"), "laptop", false); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "ended the session with laptop\n");
  EXPECT_EQ(requests_.at(0), (Json{{"command", "terminate"}, {"peer", "laptop"}}));
  answer_ = {{"error", "peer: no peer is named x"}};
  const auto refused = run([this] { return run_terminate(path("admin"), "x", false); });
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.err, "jvpn: peer: no peer is named x\n");
}

TEST_F(OrdersTest, WatchPrintsSoManyTables) {
  answer_ = {{"node", "gw1"}};
  WatchCommand command;
  command.interval = std::chrono::milliseconds(1);
  command.count = 3;
  const auto outcome = run([&] { return run_watch(path("admin"), command); });
  EXPECT_EQ(outcome.status, 0);
  const std::string table = "gw1 (-), up -, policy -\n\nno sessions\n";
  EXPECT_EQ(outcome.out, table + "\n" + table + "\n" + table);
  command.as_json = true;
  command.count = 2;
  EXPECT_EQ(run([&] { return run_watch(path("admin"), command); }).out,
            "{\"node\":\"gw1\"}\n{\"node\":\"gw1\"}\n");
}

TEST_F(OrdersTest, CheckTellsRoleOrFindings) {
  const std::string key = path("laptop.key");
  std::ofstream(key) << "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
  std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  const std::string profile = path("client.yaml");
  std::ofstream(profile) << R"(role: client
node: laptop
crypto: {private_key_file: laptop.key}
underlays: [{name: wan0, device: wan0}]
gateway: {public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=, endpoints: ["192.0.2.1:51900"], allowed_ips: [0.0.0.0/0]}
policy: {version: 1}
)";
  const auto sound = run([&] { return run_check(profile, false); });
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_EQ(sound.out, profile + ": sound, client laptop\n");
  std::filesystem::remove(key);
  const auto bad = run([&] { return run_check(profile, false); });
  EXPECT_EQ(bad.status, 2);
  EXPECT_EQ(bad.out, "");
  EXPECT_TRUE(bad.err.starts_with(profile + ":3:28: crypto.private_key_file: expected")) << bad.err;
  const auto json = Json::parse(run([&] { return run_check(profile, true); }).out);
  EXPECT_EQ(json["sound"], false);
  std::ofstream(profile) << "node: laptop\n";
  EXPECT_EQ(run([&] { return run_check(profile, false); }).err,
            profile + ":1:1: role: expected one of gateway, client, got nothing\n");
}

/// What jvpnd wouldn't start with isn't sound.
TEST_F(OrdersTest, CheckReadsTheFilesForEtcd) {
  const std::string key = path("gw.key");
  std::ofstream(key) << "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
  std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  const std::string profile = path("gw.yaml");
  const auto write = [&](const char* etcd) {
    std::ofstream(profile) << R"(role: gateway
node: gw1
ownership:
  etcd: )" << etcd << R"(
cores: {control: 0, workers: [1], idle: adaptive}
ports:
  - {name: wan, vdev: net_null0, role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: net_null1, role: inside, addresses: [10.0.0.1/24]}
crypto: {private_key_file: gw.key, suites: [aes-128-gcm]}
peers: [{name: a, public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=, allowed_ips: [10.1.0.0/16]}]
policy: {version: 1}
)";
  };
  write(R"({endpoints: ["http://127.0.0.1:2379"]})");
  const auto sound = run([&] { return run_check(profile, false); });
  EXPECT_EQ(sound.status, 0) << sound.err;
  write(R"({endpoints: ["https://10.0.0.1:2379"], ca_file: none.pem})");
  const auto bad = run([&] { return run_check(profile, false); });
  EXPECT_EQ(bad.status, 2);
  EXPECT_TRUE(bad.err.starts_with(profile + ":4:")) << bad.err;
  EXPECT_NE(bad.err.find("etcd ca_file: expected a readable file"), std::string::npos) << bad.err;
  write(R"({endpoints: ["https://etcd.example:2379"]})");
  EXPECT_EQ(run([&] { return run_check(profile, false); }).status, 2) << "a name, not an address";
}

TEST_F(OrdersTest, DrainWaitsUntilNoSessionIsLeft) {
  const auto with = [](bool draining, int left) {
    return Json{{"drain", {{"draining", draining}, {"left", left}}}};
  };
  pages_ = {with(true, 3), with(true, 1)};
  answer_ = with(true, 0);
  const auto outcome = run([this] { return run_drain(path("admin"), {}); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("drained: 3 sessions left in ")) << outcome.out;
  EXPECT_EQ(requests_.at(0), (Json{{"command", "drain"}}));
  EXPECT_EQ(requests_.at(1), (Json{{"command", "drain"}, {"look", true}}));
  EXPECT_EQ(requests_.size(), 3U);
  const auto json = run([this] { return run_drain(path("admin"), {.as_json = true}); });
  EXPECT_EQ(json.status, 0);
  EXPECT_EQ(json.out, answer_.dump() + "\n");
}

TEST_F(OrdersTest, DrainThatSomeDoNotFollowSaysSo) {
  answer_ = {{"drain", {{"draining", true}, {"left", 1}}}};
  const auto late =
      run([this] { return run_drain(path("admin"), {.wait = std::chrono::milliseconds(150)}); });
  EXPECT_EQ(late.status, 1);
  EXPECT_NE(late.err.find("1 session left after"), std::string::npos) << late.err;
  answer_["drain"]["draining"] = false;
  const auto undone = run([this] { return run_drain(path("admin"), {}); });
  EXPECT_EQ(undone.status, 1);
  EXPECT_NE(undone.err.find("somebody else has ended it"), std::string::npos) << undone.err;
  answer_ = {{"error", "drain: it shares its sessions with no other"}};
  const auto refused = run([this] { return run_drain(path("admin"), {}); });
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.err, "jvpn: drain: it shares its sessions with no other\n");
}

TEST_F(OrdersTest, DrainIsUndone) {
  answer_ = {{"drain", {{"draining", false}, {"left", 2}}}};
  const auto outcome = run([this] { return run_drain(path("admin"), {.undo = true}); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "the gateway takes sessions again; it has 2 sessions\n");
  EXPECT_EQ(requests_.at(0), (Json{{"command", "drain"}, {"undo", true}}));
}

TEST_F(OrdersTest, CheckWarnsOfAWorkerOnControlsCore) {
  const std::string key = path("gw.key");
  std::ofstream(key) << "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
  std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  const std::string profile = path("gw.yaml");
  const auto check_with = [&](const char* workers, bool as_json) {
    std::ofstream(profile) << "role: gateway\nnode: gw\ncores: {control: 1, workers: " << workers
                           << R"(, idle: adaptive}
ports:
  - {name: wan, vdev: net_tap0, role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: net_tap1, role: inside, addresses: [10.99.0.1/24]}
crypto: {private_key_file: gw.key}
policy: {version: 1}
peers: []
)";
    return run([&] { return run_check(profile, as_json); });
  };
  const auto shared = check_with("[0, 1]", false);
  EXPECT_EQ(shared.status, 0);
  EXPECT_EQ(shared.out, profile + ": sound, gateway gw\n");
  const std::string warning = "cores.workers[1]: CPU 1 is cores.control's, too: ";
  EXPECT_TRUE(shared.err.starts_with(profile + ": warning: " + warning)) << shared.err;
  const auto json = Json::parse(check_with("[0, 1]", true).out);
  EXPECT_EQ(json["sound"], true);
  EXPECT_TRUE(json["warning"].get<std::string>().starts_with(warning));
  EXPECT_EQ(check_with("[0, 2]", false).err, "");
  EXPECT_EQ(Json::parse(check_with("[0, 2]", true).out)["warning"], nullptr);
}

}  // namespace
}  // namespace jvpn::test
