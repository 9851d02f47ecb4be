// The peers beside a gateway's profile: read with it as one, and nobody named twice.
#include "control/admin/peer_directory.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/admin/profile_file.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr std::string_view kGatewayKey = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr std::string_view kGatewayPublic = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
constexpr std::string_view kFirst = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
constexpr std::string_view kOne = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
constexpr std::string_view kTwo = "2mWcbSM1bpjm8I2SSfBzH5oQn1j5DJ2Jn8i0lBcGgX4=";

class PeerDirectory : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "jvpn-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::filesystem::create_directory(folder_ / "peers.d");
    write("gw.key", kGatewayKey);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  std::string write(std::string_view name, std::string_view content, mode_t mode = 0600) {
    std::ofstream(path(name)) << content;
    chmod(path(name).c_str(), mode);
    return path(name);
  }
  void peer(std::string_view name, std::string_view key, std::string_view allowed,
            std::string_view more = "") {
    write("peers.d/" + std::string(name) + ".yaml", "public_key: " + std::string(key) +
                                                        "\nallowed_ips: [" + std::string(allowed) +
                                                        "]\n" + std::string(more));
  }
  Result<LoadedGateway> load(std::string_view more = "", int sessions = 8) {
    return load_gateway(write("gw.yaml", R"(role: gateway
node: gw1
state_dir: none
cores: {workers: [1]}
ports: [{name: a, vdev: net_null0, role: outside, addresses: [192.0.2.1/24]},
        {name: b, vdev: net_null1, role: inside, addresses: [10.99.0.1/24]}]
crypto: {private_key_file: gw.key}
peers: [{name: first, public_key: )" + std::string(kFirst) +
                                             R"(, allowed_ips: [10.77.0.1/32]}]
policy: {version: 1}
admin: {socket: run/jvpnd.sock}
limits: {sessions: )" + std::to_string(sessions) +
                                             "}\n" + std::string(more)));
  }
  std::string error(std::string_view more = "", int sessions = 8) {
    const auto loaded = load(more, sessions);
    return loaded ? "" : loaded.error().message;
  }
  std::string in(std::string_view file) const { return path("peers.d/" + std::string(file)); }

  std::filesystem::path folder_;
};

TEST_F(PeerDirectory, IsReadWithTheProfileAsOne) {
  write("peers.d/two.psk", kOne);
  peer("two", kTwo, "10.77.0.3/32", "preshared_key_file: two.psk\n");
  peer("one", kOne, "10.77.0.2/32, \"fd77::2/128\"", "enabled: false\n");
  write("peers.d/.one.yaml.tmp", "x");
  write("peers.d/README", "x");
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto& peers = loaded->profile.peers;
  ASSERT_EQ(peers.size(), 3U);
  EXPECT_EQ(peers[0].name, "first");
  EXPECT_FALSE(peers[0].enrolled);
  EXPECT_EQ(peers[1].name, "one");
  EXPECT_TRUE(peers[1].enrolled && peers[1].disabled);
  EXPECT_EQ(peers[2].name, "two");
  ASSERT_EQ(loaded->preshared.size(), 3U);
  ASSERT_TRUE(loaded->preshared[2]);
  EXPECT_EQ(key_to_base64(loaded->preshared[2]->bytes()), kOne);
}

TEST_F(PeerDirectory, WhateverAnotherPeerHasIsRefused) {
  peer("one", kOne, "10.77.0.2/32");
  EXPECT_EQ(error(), "");
  peer("two", kOne, "10.77.0.3/32");
  EXPECT_EQ(error(), in("two.yaml") + ":1:13: public_key: expected a public key that no other " +
                         "peer has, got " + std::string(kOne) + " (as one.yaml)");
  peer("two", kTwo, "10.77.0.3/32, 10.77.0.2/32");
  EXPECT_EQ(error(), in("two.yaml") + ":2:29: allowed_ips: expected a prefix that no other peer " +
                         "has, got 10.77.0.2/32 (as one.yaml)");
  peer("two", kTwo, "10.77.0.1/32");
  EXPECT_EQ(error(), in("two.yaml") + ":2:15: allowed_ips: expected a prefix that no other peer " +
                         "has, got 10.77.0.1/32 (as peers[0])");
  peer("two", kFirst, "10.77.0.3/32", "enabled: false\n");
  EXPECT_EQ(error(), in("two.yaml") + ":1:13: public_key: expected a public key that no other " +
                         "peer has, got " + std::string(kFirst) + " (as peers[0])");
  std::filesystem::rename(in("two.yaml"), in("first.yaml"));
  peer("first", kTwo, "10.77.0.3/32");
  EXPECT_EQ(error(), in("first.yaml") + ":1:1: name: expected a file's name that no other peer " +
                         "has, got first (as peers[0])");
  peer("first", kGatewayPublic, "10.77.0.3/32");
  EXPECT_NE(error().find("the key of this node, got that of peer first"), std::string::npos);
}

TEST_F(PeerDirectory, FindingsNameTheFile) {
  peer("one", "x", "10.77.0.2/32");
  peer("two", kTwo, "10.77.0.3/32", "preshared_key_file: two.psk\n");
  EXPECT_EQ(error(), in("one.yaml") + ":1:13: public_key: expected a public key of 32 bytes in " +
                         "base64, got something else (not shown, it may be a secret)\n" +
                         in("two.yaml") + ":3:21: preshared_key_file: expected a readable key " +
                         "file, got No such file or directory (" + in("two.psk") + ")");
  std::filesystem::remove(in("one.yaml"));
  write("peers.d/two.psk", kOne, 0644);
  EXPECT_NE(error().find("expected a file with mode 0600, got mode 0644"), std::string::npos);
  std::filesystem::remove(in("two.yaml"));
  std::filesystem::create_directory(in("dir.yaml"));
  EXPECT_EQ(error(), in("dir.yaml") + ":1:1: peer: expected a readable file of at most 128 KiB, " +
                         "got Is a directory");
  std::filesystem::remove(in("dir.yaml"));
  write("peers.d/-x.yaml", "");
  EXPECT_EQ(error(), in("-x.yaml") + ":1:1: peer: expected a file NAME.yaml, NAME a name of 1 to " +
                         "63 letters, digits, '_', '-' or '.', the first no '-' or '.', got " +
                         "-x.yaml");
  std::filesystem::rename(in("-x.yaml"), in("x.yml"));
  EXPECT_NE(error().find("x.yml:1:1: peer: expected a file NAME.yaml"), std::string::npos);
}

TEST_F(PeerDirectory, CountsWithTheProfilesPeers) {
  peer("one", kOne, "10.77.0.2/32");
  EXPECT_EQ(error("", 1), path("gw.yaml") +
                              ":1:1: limits.sessions: expected at least the 2 peers, "
                              "those of " +
                              path("peers.d") + " with them, got 1");
}

TEST_F(PeerDirectory, MayBeNamedAndMustThenBeThere) {
  std::filesystem::remove_all(path("peers.d"));
  EXPECT_EQ(error(), "") << "the default may be missing";
  EXPECT_EQ(error("enrolment: {directory: others}\n"),
            path("gw.yaml") +
                ":12:24: enrolment.directory: expected a folder that can be read, and that only "
                "root or the program's user can write (mkdir -m 0700 makes one), got No such file "
                "or directory (" +
                path("others") + ")");
  std::filesystem::create_directory(path("others"));
  std::filesystem::permissions(path("others"), std::filesystem::perms::all);
  EXPECT_NE(error("enrolment: {directory: others}\n").find("only root or the program's user"),
            std::string::npos)
      << "whoever can write there says who is a peer";
  std::filesystem::permissions(path("others"), std::filesystem::perms::owner_all);
  write("others/one.yaml", "public_key: " + std::string(kOne) + "\nallowed_ips: [10.77.0.2/32]\n");
  const auto loaded = load("enrolment: {directory: others, pool: [10.77.0.0/16, \"fd77::/64\"]}\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->profile.peers.size(), 2U);
  EXPECT_EQ(loaded->profile.enrolment.directory, path("others"));
  EXPECT_EQ(loaded->profile.enrolment.pool.size(), 2U);
}

TEST_F(PeerDirectory, OnePeerIsReadAlone) {
  const PublicKey own = *key_from_base64(kGatewayPublic);
  peer("one", kOne, "10.77.0.2/32");
  const auto one = load_peer(path("peers.d"), "one", own);
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_TRUE(*one);
  EXPECT_EQ((*one)->profile.name, "one");
  const auto none = load_peer(path("peers.d"), "none", own);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  peer("own", kGatewayPublic, "10.77.0.3/32");
  const auto refused = load_peer(path("peers.d"), "own", own);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, in("own.yaml") +
                                         ":1:13: public_key: expected another's "
                                         "public key, got that of this node");
}

}  // namespace
}  // namespace jvpn
