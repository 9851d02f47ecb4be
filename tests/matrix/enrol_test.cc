// One peer's own file applied to a running gateway: nobody else's packets or sessions notice.
#include <filesystem>
#include <fstream>
#include <memory>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "common/peer_file.h"
#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;

std::string enrol_folder() {
  return testing::TempDir() + "jvpn_enrol_" + std::to_string(getpid());
}

/// The gateway has client1 in its profile; client0's key gets in by its own file alone.
RigOptions enrolling() {
  RigOptions options;
  options.clients = 2;
  options.adjust_profile = [](GatewayProfile& profile) {
    profile.enrolment.directory = enrol_folder();
  };
  return options;
}

struct EnrolPeers : testing::Test {
  EnrolPeers() { std::filesystem::create_directories(enrol_folder()); }
  ~EnrolPeers() override { std::filesystem::remove_all(enrol_folder()); }

  static void write(const std::string& name, PeerProfile peer) {
    std::ofstream(enrol_folder() + '/' + name + ".yaml") << peer_file_text(peer);
  }
  static void forget(const std::string& name) {
    std::filesystem::remove(enrol_folder() + '/' + name + ".yaml");
  }
  PeerProfile client(size_t number) {
    const EnginePeer& told = rig.gateway().peers_to_reload.at(number);
    PeerProfile peer;
    peer.public_key = told.public_key;
    peer.allowed_ips = told.inner_addresses;
    if (!told.preshared) return peer;
    const std::string file = told.name + ".psk";
    const std::string path = enrol_folder() + '/' + file;
    std::ofstream(path) << key_to_base64(told.preshared->bytes());
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    peer.preshared_key_file = FileReference{file, "preshared_key_file", {}};
    return peer;
  }
  /// Under whatever id the gateway has given it.
  bool bob_attached() {
    for (Json page{{"next", 0}}; page.contains("next");) {
      page = ask({{"command", "show"}, {"from", page["next"]}});
      for (const Json& each : page.value("sessions", Json::array()))
        if (each["peer"] == "bob" && each["state"] == "ATTACHED") return true;
    }
    return false;
  }
  /// Of all pages.
  size_t count_peers() {
    size_t count = 0;
    for (Json page{{"next", 0}}; page.contains("next"); count += page["peers"].size())
      page = ask({{"command", "peers"}, {"from", page["next"]}});
    return count;
  }
  Json ask(const Json& request) { return Json::parse(rig.gateway().ask(request.dump())); }
  /// What becomes of the peer, while the second client sends: every packet of it is answered.
  std::string apply(const std::string& name) {
    const uint64_t before = rig.client(1).echoes();
    uint64_t sent = 0;
    const auto send = [&] {
      for (int i = 0; i < 50; ++i) {
        sent += rig.client(1).send_echo() ? 1U : 0U;
        rig.step();
      }
    };
    send();
    const Json answer = ask({{"command", "peer"}, {"name", name}});
    send();
    rig.run_for(Millis{50});
    EXPECT_EQ(sent, 100U);
    EXPECT_EQ(rig.client(1).echoes() - before, sent) << "packets of another peer were lost";
    return answer.contains("error") ? answer["error"].get<std::string>()
                                    : answer["peer"]["what"].get<std::string>();
  }
  /// Takes client0 out of the profile itself.
  PeerProfile take_out_first() {
    PeerProfile first = client(0);
    auto& peers = rig.gateway().peers_to_reload;
    peers.erase(peers.begin());
    EXPECT_EQ(ask({{"command", "reload"}})["reloaded"]["peers"]["removed"], 1);
    return first;
  }

  Rig rig{enrolling()};
};

TEST_F(EnrolPeers, OneComesChangesIsSwitchedAndGoes) {
  rig.connect(1);
  const Snapshot other = rig.at_gateway(1);
  PeerProfile first = take_out_first();
  write("bob", first);
  EXPECT_EQ(apply("bob"), "added");
  rig.client(0).dial(rig.client_now(), rig.path(0, 0));
  EXPECT_TRUE(rig.run_until([&] { return bob_attached(); }, Millis{2'000}));
  EXPECT_EQ(apply("bob"), "unchanged");
  first.allowed_ips.push_back(*Prefix::parse("10.1.9.9/32"));
  write("bob", first);
  EXPECT_EQ(apply("bob"), "changed");
  EXPECT_TRUE(bob_attached()) << "its session goes on";

  first.disabled = true;
  write("bob", first);
  EXPECT_EQ(apply("bob"), "disabled");
  EXPECT_FALSE(bob_attached());
  const Json listed = ask({{"command", "peers"}, {"name", "bob"}})["peers"];
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0]["enabled"], false);
  EXPECT_EQ(apply("bob"), "unchanged");
  first.disabled = false;
  write("bob", first);
  EXPECT_EQ(apply("bob"), "enabled");

  forget("bob");
  EXPECT_EQ(apply("bob"), "removed");
  EXPECT_EQ(apply("bob"), "unchanged");
  EXPECT_EQ(rig.at_gateway(1).id, other.id);
  EXPECT_EQ(rig.at_gateway(1).version, other.version);
}

TEST_F(EnrolPeers, WhatAnotherPeerHasIsRefusedAndChangesNothing) {
  rig.connect(1);
  const PeerProfile first = take_out_first();
  const PeerProfile second = client(0);
  PeerProfile taken = first;
  taken.public_key = second.public_key;
  write("bob", taken);
  EXPECT_NE(apply("bob").find("bob.yaml:1:1: public_key: expected a public key that no other peer "
                              "has, got " +
                              key_to_base64(second.public_key) + " (as peer client1)"),
            std::string::npos);
  taken = first;
  taken.allowed_ips = second.allowed_ips;
  write("bob", taken);
  EXPECT_NE(apply("bob").find("allowed_ips: expected a prefix that no other peer has"),
            std::string::npos);
  write("client1", first);
  EXPECT_NE(apply("client1").find("name: expected a name that no peer of the profile itself has"),
            std::string::npos);
  std::ofstream(enrol_folder() + "/bob.yaml") << "public_key: x\n";
  EXPECT_NE(apply("bob").find("bob.yaml:1:13: public_key: expected a public key"),
            std::string::npos);
  EXPECT_NE(apply("../bob").find("peer: expected a name of 1 to 63"), std::string::npos);
  EXPECT_EQ(count_peers(), 1U);
  EXPECT_EQ(ask({{"command", "show"}})["denies_new_sessions"], false)
      << "one bad file refuses that peer alone";
  write("bob", first);
  EXPECT_EQ(apply("bob"), "added");
}

TEST_F(EnrolPeers, MoreThanThereIsRoomForAreRefused) {
  PeerProfile peer = client(0);
  std::string refused;
  for (uint8_t i = 0; i < 20 && refused.empty(); ++i) {
    peer.public_key[30] = 7;
    peer.public_key[31] = i;
    peer.allowed_ips = {{IpAddress::v4({10, 1, 7, i}), 32}};
    write("p" + std::to_string(i), peer);
    const Json answer = ask({{"command", "peer"}, {"name", "p" + std::to_string(i)}});
    if (!answer.contains("error")) continue;
    refused = answer["error"];
    EXPECT_EQ(i, 14) << "limits.sessions is 16, two are there";
  }
  EXPECT_NE(refused.find("at most 16 peers (limits.sessions"), std::string::npos) << refused;
  EXPECT_EQ(count_peers(), 16U);
}

TEST_F(EnrolPeers, AFreeAddressIsNobodys) {
  const Json first = ask({{"command", "enrol"}, {"pool", {"10.1.7.0/30", "fd77::/64"}}})["enrol"];
  EXPECT_EQ(first["free"], (Json{"10.1.7.1/32", "fd77::1/128"}));
  EXPECT_EQ(first["directory"], std::filesystem::absolute(enrol_folder()).string());
  PeerProfile peer = client(0);
  peer.public_key[31] ^= 1;
  peer.allowed_ips = {*Prefix::parse("10.1.7.1/32"), *Prefix::parse("10.1.7.2/32")};
  write("bob", peer);
  ASSERT_EQ(ask({{"command", "peer"}, {"name", "bob"}})["peer"]["what"], "added");
  EXPECT_EQ(ask({{"command", "enrol"}, {"pool", {"10.1.7.0/30"}}})["enrol"]["free"], Json::array());
  EXPECT_TRUE(ask({{"command", "enrol"}, {"pool", "x"}}).contains("error"));
  EXPECT_TRUE(ask({{"command", "enrol"}, {"pool", {"10.1.7.1/30"}}}).contains("error"));
}

}  // namespace
}  // namespace jvpn::test
