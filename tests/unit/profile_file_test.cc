#include "control/admin/profile_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/admin/path_checks.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr std::string_view kPrivate = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr std::string_view kPreshared = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
constexpr std::string_view kOwnPublic = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
constexpr std::string_view kOtherPublic = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

/// A folder of its own for each test, gone with it.
class ProfileFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "jvpn-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }

  std::string write(std::string_view name, std::string_view content, mode_t mode = 0600) {
    std::ofstream(path(name)) << content;
    chmod(path(name).c_str(), mode);
    return path(name);
  }

  /// What reading `gw.key` beside the profile says; empty when it succeeds.
  std::string key_error() {
    const auto key = read_key_file({"gw.key", "crypto.private_key_file", {7, 28}}, path("gw.yaml"));
    return key ? "" : key.error().message;
  }

  std::string finding(std::string_view expected, std::string_view got) const {
    return profile_finding(path("gw.yaml"), {7, 28}, "crypto.private_key_file", expected, got);
  }

  std::filesystem::path folder_;
};

TEST_F(ProfileFile, ReadsAKeyBesideTheProfile) {
  write("gw.key", std::string(kPrivate) + "\n");
  const auto key = read_key_file({"gw.key", "k", {1, 1}}, path("gw.yaml"));
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key_to_base64(key->bytes()), kPrivate);
}

TEST_F(ProfileFile, ReadsAKeyThroughALink) {
  write("real.key", kPrivate);
  std::filesystem::create_symlink("real.key", path("gw.key"));
  EXPECT_EQ(key_error(), "");
}

TEST_F(ProfileFile, RefusesAMissingKey) {
  EXPECT_EQ(key_error(),
            finding("a readable key file", "No such file or directory (" + path("gw.key") + ")"));
}

TEST_F(ProfileFile, RefusesAKeyThatOthersMayRead) {
  for (const auto& [mode, text] :
       {std::pair(0644, "0644"), {0640, "0640"}, {0604, "0604"}, {0620, "0620"}, {0601, "0601"}}) {
    write("gw.key", kPrivate, static_cast<mode_t>(mode));
    EXPECT_EQ(key_error(), finding("a file with mode 0600",
                                   std::string("mode ") + text + " (" + path("gw.key") + ")"));
  }
  write("gw.key", kPrivate, 0400);
  EXPECT_EQ(key_error(), "");
}

TEST_F(ProfileFile, RefusesWhatIsNoRegularFile) {
  std::filesystem::create_directory(path("gw.key"));
  EXPECT_EQ(key_error(), finding("a regular file", "a directory (" + path("gw.key") + ")"));
  std::filesystem::remove(path("gw.key"));
  ASSERT_EQ(mkfifo(path("gw.key").c_str(), 0600), 0);
  EXPECT_EQ(key_error(), finding("a regular file", "a FIFO (" + path("gw.key") + ")"));
}

TEST_F(ProfileFile, RefusesGarbageWithoutRepeatingIt) {
  const std::string key(kPrivate);
  const std::string contents[] = {
      "",
      "\n",
      "hunter2",
      key.substr(1),
      key + key,
      "x" + key,
      key + "\nmore",
      key.substr(0, 43),
      key.substr(0, 42) + "p=",
      std::string(44, '='),
      "\n" + key,
      std::string(44, 'A'),
      key + std::string(200, ' '),
      std::string(100'000, 'A'),
  };
  for (const std::string& content : contents) {
    write("gw.key", content);
    const std::string error = key_error();
    EXPECT_TRUE(
        error.starts_with(finding("a file with one key of 32 bytes in base64", "something else")))
        << error;
    EXPECT_EQ(error.find("hunter2"), std::string::npos);
    EXPECT_EQ(error.find(key.substr(2, 20)), std::string::npos);
  }
}

TEST_F(ProfileFile, ReadsText) {
  const auto text = read_text_file(write("a.yaml", "node: x\n"));
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "node: x\n");
  EXPECT_EQ(read_text_file(path("none.yaml")).error().message,
            path("none.yaml") + ": expected a readable file, got No such file or directory");
  EXPECT_EQ(read_text_file(folder_.string()).error().message,
            folder_.string() + ": expected a readable file, got Is a directory");
}

TEST_F(ProfileFile, ResolvesPathsFromTheProfilesFolder) {
  EXPECT_EQ(resolve_path("keys/a.key", "/etc/jvpn/gw.yaml"), "/etc/jvpn/keys/a.key");
  EXPECT_EQ(resolve_path("/run/a.key", "/etc/jvpn/gw.yaml"), "/run/a.key");
  EXPECT_EQ(resolve_path("a.key", "gw.yaml"), "a.key");
  EXPECT_EQ(resolve_path("../a.key", "etc/gw.yaml"), "etc/../a.key");
}

std::string gateway_yaml(std::string_view peer_key) {
  return R"(role: gateway
node: gw1
cores: {workers: [1]}
ports:
  - {name: wan0, vdev: "net_memif0", role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: "net_memif1", role: inside, addresses: [10.99.0.1/24]}
crypto: {private_key_file: gw.key}
peers:
  - {name: a, public_key: )" +
         std::string(peer_key) + R"(, allowed_ips: [10.77.0.2/32]}
  - {name: b, public_key: y2SUvT+yUpSrkqVR6Kqx4Z0N2O1wSzUKpgVyYvHhAm8=, preshared_key_file: b.psk, allowed_ips: [10.77.0.3/32]}
policy: {version: 1}
admin: {socket: run/jvpnd.sock}
)";
}

TEST_F(ProfileFile, LoadsAGateway) {
  write("gw.key", kPrivate);
  write("b.psk", kPreshared);
  const auto loaded = load_gateway(write("gw.yaml", gateway_yaml(kOtherPublic)));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(key_to_base64(loaded->private_key.bytes()), kPrivate);
  ASSERT_EQ(loaded->preshared.size(), 2u);
  EXPECT_FALSE(loaded->preshared[0]);
  ASSERT_TRUE(loaded->preshared[1]);
  EXPECT_EQ(key_to_base64(loaded->preshared[1]->bytes()), kPreshared);
  EXPECT_EQ(loaded->profile.admin.socket, path("run/jvpnd.sock"));
}

TEST_F(ProfileFile, TellsOfAllBadKeyFilesAtOnce) {
  write("gw.key", kPrivate, 0644);
  const auto loaded = load_gateway(write("gw.yaml", gateway_yaml(kOtherPublic)));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message,
            path("gw.yaml") +
                ":7:28: crypto.private_key_file: expected a file with mode 0600, got " +
                "mode 0644 (" + path("gw.key") + ")\n" + path("gw.yaml") +
                ":10:93: peers[1].preshared_key_file: expected a readable key file, got " +
                "No such file or directory (" + path("b.psk") + ")");
}

TEST_F(ProfileFile, RefusesANodeThatIsItsOwnPeer) {
  write("gw.key", kPrivate);
  write("b.psk", kPreshared);
  const auto loaded = load_gateway(write("gw.yaml", gateway_yaml(kOwnPublic)));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, path("gw.yaml") + ":7:28: crypto.private_key_file: expected " +
                                        "the key of this node, got that of peer a");
}

TEST_F(ProfileFile, LoadsAClient) {
  write("c.key", kPrivate);
  write("c.psk", kPreshared);
  const std::string yaml =
      R"(role: client
node: laptop
crypto: {private_key_file: c.key}
underlays: [{name: wan0, device: wan0}]
gateway: {public_key: )" +
      std::string(kOtherPublic) +
      R"(, preshared_key_file: c.psk, endpoints: ["192.0.2.1:51900"], allowed_ips: [0.0.0.0/0]}
policy: {version: 1}
events: {sinks: [{kind: stdout}, {kind: file, path: log/events}, {kind: unix, path: /run/e.sock}]}
)";
  std::filesystem::create_directory(path("log"));
  const auto loaded = load_client(write("c.yaml", yaml));
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_TRUE(loaded->preshared);
  EXPECT_EQ(loaded->profile.admin.socket, "/run/jvpn/client.sock");
  EXPECT_EQ(loaded->profile.events.sinks[0].path, "");
  EXPECT_EQ(loaded->profile.events.sinks[1].path, path("log/events"));
  EXPECT_EQ(loaded->profile.events.sinks[2].path, "/run/e.sock");
}

TEST_F(ProfileFile, PlacesThatCannotBeOpenedAreFound) {
  std::filesystem::create_directory(path("there"));
  write("file", "");
  struct Case {
    const char* sink;
    const char* socket;
    std::string finding;  ///< behind the place; empty: all is well
  };
  const std::string sink_finding =
      "events.sinks[1].path: expected a file that can be appended to, got ";
  const std::string socket_finding =
      "admin.socket: expected a socket in a folder that is there, or can be made, got ";
  for (const Case& each : std::vector<Case>{
           {"there/log", "there/s", ""},
           {"file", "new/s", ""},
           {"none/log", "there/s",
            ":4:63: " + sink_finding + "No such file or directory (" + path("none") + ")"},
           {"there", "there/s", ":4:63: " + sink_finding + "a folder (" + path("there") + ")"},
           {"file/log", "there/s",
            ":4:63: " + sink_finding + "Not a directory (" + path("file/log") + ")"},
           {"file", "none/new/s",
            ":3:17: " + socket_finding + "No such file or directory (" + path("none") + ")"},
           {"file", "file/s", ":3:17: " + socket_finding + "no folder (" + path("file") + ")"}}) {
    EventsProfile events{{{EventSinkKind::kStdout, {}, "events.sinks[0].path", {4, 10}},
                          {EventSinkKind::kFile, path(each.sink), "events.sinks[1].path", {4, 63}},
                          {EventSinkKind::kUnix, path("none/s"), "events.sinks[2].path", {4, 90}}}};
    const auto findings = check_paths(events, {path(each.socket), {3, 17}}, "p");
    if (each.finding.empty())
      EXPECT_EQ(findings, std::vector<std::string>{});
    else
      EXPECT_EQ(findings, std::vector<std::string>{"p" + each.finding});
  }
  write("gw.key", kPrivate);
  write("b.psk", kPreshared);
  std::string yaml = gateway_yaml(kOtherPublic);
  yaml.replace(yaml.find("run/jvpnd"), 9, "none/run/jvpnd");
  EXPECT_EQ(load_gateway(write("gw.yaml", yaml)).error().message,
            path("gw.yaml") + ":12:17: " + socket_finding + "No such file or directory (" +
                path("none") + ")");
}

TEST_F(ProfileFile, AStateDirectoryIsOnesOwnOrCanBeMade) {
  const auto check = [&](const std::string& directory, Place place = {3, 5}) {
    const auto findings = check_state({directory, place}, path("gw.yaml"));
    return findings.empty() ? "" : findings[0];
  };
  EXPECT_EQ(check(path("state")), "") << "it can be made";
  EXPECT_EQ(check(""), "") << "none";
  EXPECT_EQ(check("/nowhere/at/all", {}), "") << "the default waits for the start";
  std::filesystem::create_directory(path("state"));
  chmod(path("state").c_str(), 0700);
  EXPECT_EQ(check(path("state")), "");
  chmod(path("state").c_str(), 0750);
  EXPECT_NE(check(path("state")).find("gw.yaml:3:5: state_dir: expected none, or"),
            std::string::npos);
  EXPECT_NE(check(path("state")).find("chmod 0700"), std::string::npos);
  write("file", "");
  EXPECT_NE(check(path("file")).find("no folder"), std::string::npos);
  EXPECT_NE(check(path("no/state")).find("No such file"), std::string::npos);
}

TEST_F(ProfileFile, TellsOfAMissingOrBadProfile) {
  EXPECT_FALSE(load_gateway(path("none.yaml")));
  const auto loaded = load_client(write("c.yaml", gateway_yaml(kOtherPublic)));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, path("c.yaml") + ":1:7: role: expected client, got gateway");
}

}  // namespace
}  // namespace jvpn
