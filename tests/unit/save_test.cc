// `jvpn save` as it is run: what runs is what the files say, or what differs is named.
#include "tools/jvpn/save.h"

#include <sys/stat.h>

#include "tests/unit/command_rig.h"
#include "tools/shared/exit_code.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

constexpr const char* kKey = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
constexpr const char* kOtherKey = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

Json running_peer(const std::string& name, const char* key, const char* allowed) {
  return {{"name", name},
          {"public_key", key},
          {"allowed_ips", Json::array({allowed})},
          {"enabled", true},
          {"enrolled", true},
          {"preshared_key", false},
          {"endpoints", Json::array()}};
}

class Save : public CommandTest {
 protected:
  Save() {
    write("gw.yaml", std::string(R"(role: gateway
node: gw1
state_dir: none
cores: {workers: [1]}
ports: [{name: a, vdev: net_null0, role: outside, addresses: [192.0.2.1/24]},
        {name: b, vdev: net_null1, role: inside, addresses: [10.99.0.1/24]}]
crypto: {private_key_file: gw.key}
peers: [{name: first, public_key: )") +
                         kKey + R"(, allowed_ips: [10.77.0.1/32]}]
policy: {version: 3}
admin: {socket: s/jvpnd.sock}
)");
    mkdir(path("peers.d").c_str(), 0700);
    write("peers.d/bob.yaml",
          std::string("public_key: ") + kOtherKey + "\nallowed_ips: [10.77.0.2/32]\n");
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
    chmod(path(name).c_str(), 0600);
  }
  /// With a gateway that has those peers, in two pages.
  Outcome save(const std::vector<Json>& peers, unsigned policy = 3, bool as_json = false) {
    pages_ = {{{"enrol", {{"profile", path("gw.yaml")}, {"directory", path("peers.d")}}}}};
    Json first = Json::array();
    Json rest = Json::array();
    for (const Json& each : peers) (first.empty() ? first : rest).push_back(each);
    pages_.push_back({{"peers", first}, {"next", 2}});
    pages_.push_back({{"peers", rest}});
    pages_.push_back({{"policy_version", policy}});
    return run([=, this] { return run_save(path("admin"), as_json); });
  }
  const Json first_ = running_peer("first", kKey, "10.77.0.1/32");
  const Json bob_ = running_peer("bob", kOtherKey, "10.77.0.2/32");
};

TEST_F(Save, WhatRunsIsWhatTheFilesSay) {
  const Outcome same = save({first_, bob_});
  EXPECT_EQ(same.status, 0) << same.err;
  EXPECT_EQ(same.out, "nothing to save: the gateway runs as " + path("gw.yaml") +
                          " and its 2 peers say (what is in preshared keys isn't compared)\n");
  const Json told = Json::parse(save({first_, bob_}, 3, true).out);
  EXPECT_EQ(told["differences"], Json::array());
}

TEST_F(Save, EachDifferenceIsNamedAndNothingWritten) {
  const Json eve = running_peer("eve", kKey, "10.77.0.9/32");
  const Outcome differs = save({running_peer("first", kOtherKey, "10.77.0.8/32"), eve}, 2);
  EXPECT_EQ(differs.status, 1);
  EXPECT_EQ(differs.out, std::string("eve: runs, and no file has it\n") +
                             "first: runs with public key " + kOtherKey + ", the file says " +
                             kKey +
                             "; allowed ips 10.77.0.8/32, the file says 10.77.0.1/32\n"
                             "bob: has a file, and doesn't run\n"
                             "policy: runs with version 2, the file says 3\n");
  EXPECT_NE(differs.err.find("jvpn sync makes the gateway what they say"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("peers.d/eve.yaml")));
  EXPECT_EQ(Json::parse(save({first_, bob_, eve}, 3, true).out)["differences"].size(), 1U);
  Json off = bob_;
  off["enabled"] = false;
  EXPECT_EQ(save({first_, off}).out, "bob: runs with state disabled, the file says enabled\n");
}

TEST_F(Save, WithoutAGatewayOrWithBadFilesItSaysSo) {
  write("peers.d/bad.yaml", "public_key: nothing\n");
  EXPECT_EQ(save({first_, bob_}).status, kBadProfile);
  const Outcome none = run([this] { return run_save(path("none"), false); });
  EXPECT_NE(none.status, 0);
}

}  // namespace
}  // namespace jvpn::test
