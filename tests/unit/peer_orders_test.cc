// `jvpn peer` as it is run, with and without a gateway: files, output, exit status.
#include "tools/jvpn/peer_orders.h"

#include <sys/stat.h>

#include "control/admin/profile_file.h"
#include "tests/unit/command_rig.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/peer_bundle.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

class PeerOrders : public CommandTest {
 protected:
  PeerOrders() {
    write("gw.key", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
    write("gw.yaml", R"(role: gateway
node: gw1
state_dir: none
cores: {workers: [1]}
ports: [{name: a, vdev: net_null0, role: outside, addresses: [192.0.2.1/24]},
        {name: b, vdev: net_null1, role: inside, addresses: [10.99.0.1/24]}]
crypto: {private_key_file: gw.key}
peers: [{name: first, public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=,
         allowed_ips: [10.77.0.1/32]}]
enrolment: {pool: [10.77.0.0/29]}
policy: {version: 1}
admin: {socket: s/jvpnd.sock}
)");
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
    chmod(path(name).c_str(), 0600);
  }
  PeerCommand command(const std::string& name, bool running = false) {
    return {path(running ? "admin" : "none"), path("gw.yaml"), name, false};
  }
  Outcome add(const std::string& name, PeerAddition addition = {}, bool running = false) {
    if (addition.out.empty()) addition.out = path(name + ".jvpn");
    return run([=, this] { return run_peer_add(command(name, running), addition); });
  }
  std::string file(const std::string& name) { return text_of_file(path("peers.d/" + name)); }
  bool is_there(const std::string& name) { return std::filesystem::exists(path(name)); }
  Json enrol(const char* free) {
    return {{"enrol",
             {{"profile", path("gw.yaml")},
              {"directory", path("peers.d")},
              {"free", Json::array({free})}}}};
  }
};

TEST_F(PeerOrders, AddsWithoutAGatewayAndSaysSo) {
  const Outcome added = add("bob");
  EXPECT_EQ(added.status, kNotRunning) << added.err;
  EXPECT_EQ(added.out,
            "bob added: 10.77.0.2/32, no gateway runs with these files, it is applied "
            "when one starts\n" +
                path("bob.jvpn") +
                ": its profile and keys, secret; on "
                "its host: jvpn-client --import bob.jvpn\n");
  for (const char* made : {"peers.d/bob.yaml", "peers.d/bob.psk", "bob.jvpn"}) {
    struct stat info {};
    ASSERT_EQ(stat(path(made).c_str(), &info), 0) << made;
    EXPECT_EQ(info.st_mode & 07777, 0600U) << made;
  }
  const auto loaded = load_gateway(path("gw.yaml"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->profile.peers.size(), 2U);
  const auto bundle = parse_bundle(text_of_file(path("bob.jvpn")), "b");
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(public_key_of(*bundle->private_key), loaded->profile.peers[1].public_key);
  EXPECT_EQ(bundle->preshared_key, loaded->preshared[1]);
  EXPECT_EQ(add("eve").out.substr(0, 24), "eve added: 10.77.0.3/32,");
}

TEST_F(PeerOrders, RefusesWhatIsTakenOrMalformed) {
  ASSERT_EQ(add("bob").status, kNotRunning);
  const auto refused = [&](const std::string& name, const PeerAddition& addition,
                           const std::string& why) {
    const Outcome outcome = add(name, addition);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find(why), std::string::npos) << outcome.err;
  };
  refused("bob", {}, "there is such a peer already: choose another name, or jvpn peer remove bob");
  refused("first", {}, "peer first stands in the profile itself: choose another name");
  refused("../x", {}, "NAME: expected a name of 1 to 63 letters, digits");
  refused("x", {.allowed_ips = {"10.0.0.1/8"}}, "--allowed-ips: expected networks");
  refused("x", {.endpoints = {"192.0.2.1"}}, "--endpoint: expected one such as");
  refused("x", {.public_key = "abc"}, "--public-key: expected a public key of 32 bytes");
  refused("x", {.out = path("bob.jvpn")}, "bob.jvpn: can't move it there: File exists");
  refused("x", {.qr = true}, "--qr: expected a terminal");
  EXPECT_FALSE(is_there("peers.d/x.yaml") || is_there("peers.d/x.psk") || is_there("x.jvpn"));
  for (int i = 0; i < 4; ++i) ASSERT_EQ(add("more" + std::to_string(i)).status, kNotRunning);
  refused("last", {}, "enrolment.pool: expected a free address, all are taken");
  std::string text = text_of_file(path("gw.yaml"));
  text.erase(text.find("enrolment"), text.find("policy") - text.find("enrolment"));
  write("gw.yaml", text);
  refused("last", {}, "enrolment.pool: expected networks of inner addresses, got nothing: write");
}

TEST_F(PeerOrders, AClientMayKeepItsKeyToItself) {
  const Outcome added = add("bob", {.allowed_ips = {"10.60.0.0/16"},
                                    .public_key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="});
  EXPECT_EQ(added.status, kNotRunning) << added.err;
  EXPECT_NE(added.out.find("it has no private key: put that of xTIBA5"), std::string::npos);
  const auto bundle = parse_bundle(text_of_file(path("bob.jvpn")), "b");
  ASSERT_TRUE(bundle);
  EXPECT_FALSE(bundle->private_key);
  EXPECT_NE(file("bob.yaml").find("allowed_ips: [\"10.60.0.0/16\"]"), std::string::npos);
}

TEST_F(PeerOrders, ARunningGatewayAppliesItAtOnce) {
  pages_ = {enrol("10.77.0.2/32"),
            enrol("10.77.0.5/32"),
            {{"peer", {{"name", "bob"}, {"what", "added"}}}}};
  const Outcome added = add("bob", {}, true);
  EXPECT_EQ(added.status, 0) << added.err;
  EXPECT_EQ(added.out.substr(0, 50),
            "bob added: 10.77.0.5/32, applied by the gateway\n" + path("bob.jvpn").substr(0, 2));
  ASSERT_EQ(requests_.size(), 3U);
  EXPECT_EQ(requests_[1]["pool"], Json{"10.77.0.0/29"});
  EXPECT_EQ(requests_[2], (Json{{"command", "peer"}, {"name", "bob"}}));
}

TEST_F(PeerOrders, WhatTheGatewayRefusesIsTakenBack) {
  pages_ = {enrol("10.77.0.2/32"), enrol("10.77.0.5/32"), {{"error", "no room"}}};
  const Outcome added = add("bob", {}, true);
  EXPECT_EQ(added.status, 1);
  EXPECT_EQ(added.err, "no room\njvpn: the gateway refuses it; nothing has changed\n");
  EXPECT_FALSE(is_there("peers.d/bob.yaml") || is_there("peers.d/bob.psk") || is_there("bob.jvpn"));
  ASSERT_EQ(add("bob").status, kNotRunning);
  pages_ = {enrol("10.77.0.2/32"), {{"error", "no"}}};
  const std::string before = file("bob.yaml");
  EXPECT_EQ(run([this] { return run_peer_disable(command("bob", true)); }).status, 1);
  EXPECT_EQ(file("bob.yaml"), before);
}

TEST_F(PeerOrders, SwitchesAndRemoves) {
  ASSERT_EQ(add("bob").status, kNotRunning);
  const std::string whole = file("bob.yaml");
  write("peers.d/bob.yaml", "# a remark\n" + whole);
  EXPECT_EQ(run([this] { return run_peer_disable(command("bob")); }).status, kNotRunning);
  EXPECT_EQ(file("bob.yaml"), "# a remark\n" + whole + "enabled: false\n");
  EXPECT_NE(run([this] { return run_peer_list(command("")); }).out.find("disabled"),
            std::string::npos);
  EXPECT_NE(run([this] { return run_peer_show(command("bob")); }).out.find("state: disabled"),
            std::string::npos);
  EXPECT_EQ(run([this] { return run_peer_enable(command("bob")); }).status, kNotRunning);
  EXPECT_EQ(file("bob.yaml"), "# a remark\n" + whole);
  const Outcome unknown = run([this] { return run_peer_remove(command("bobb")); });
  EXPECT_EQ(unknown.status, 1);
  EXPECT_EQ(unknown.err, "jvpn: no such peer: " + path("peers.d") +
                             " has no bobb.yaml (did you "
                             "mean bob?); jvpn peer list has them all\n");
  EXPECT_NE(run([this] {
              return run_peer_remove(command("first"));
            }).err.find("peer first stands in the profile itself: change it there"),
            std::string::npos);
  EXPECT_EQ(run([this] { return run_peer_remove(command("bob")); }).status, kNotRunning);
  EXPECT_FALSE(is_there("peers.d/bob.yaml") || is_there("peers.d/bob.psk"));
}

}  // namespace
}  // namespace jvpn::test
