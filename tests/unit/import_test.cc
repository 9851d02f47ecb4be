// jvpn-client --import, and the files that are there whole or not at all.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/admin/profile_file.h"
#include "control/files/whole_file.h"
#include "tests/support/rooms.h"
#include "tools/client/control/import_bundle.h"

namespace jvpn {
namespace {

constexpr const char* kBundle = R"(# a remark
bundle: 1
name: bob
private_key: dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=
preshared_key: FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=
---
role: client
node: bob
crypto: {private_key_file: bob.key}
gateway:
  public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  preshared_key_file: bob.psk
  endpoints: ["192.0.2.1:51900"]
  allowed_ips: ["10.99.0.0/24"]
policy: {version: 1}
admin: {socket: s/client.sock}
)";

class Import : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "jvpn-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    write("bob.jvpn", kBundle);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  void write(std::string_view name, std::string_view content, mode_t mode = 0600) {
    std::ofstream(path(name)) << content;
    chmod(path(name).c_str(), mode);
  }
  std::string error() {
    const auto done = import_bundle({path("bob.jvpn"), path("etc"), {"eth0", "wwan0"}});
    return done ? "" : done.error().message;
  }
  mode_t mode_of(std::string_view name) const {
    struct stat info {};
    return stat(path(name).c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  std::filesystem::path folder_;
};

TEST_F(Import, MakesAProfileThatIsReadyToRun) {
  const auto done = import_bundle({path("bob.jvpn"), path("etc"), {"eth0", "wwan0"}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(*done, path("etc/bob.yaml"));
  const auto loaded = load_client(*done);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->profile.underlays.size(), 2U);
  EXPECT_EQ(loaded->profile.underlays[1].device, "wwan0");
  EXPECT_TRUE(loaded->preshared);
  for (const char* file : {"etc/bob.yaml", "etc/bob.key", "etc/bob.psk"})
    EXPECT_EQ(mode_of(file), 0600U) << file;
}

TEST_F(Import, RefusesAnOpenBundleAndWhatIsThereAlready) {
  chmod(path("bob.jvpn").c_str(), 0644);
  EXPECT_EQ(error(), path("bob.jvpn") +
                         ": expected a file with mode 0600, got mode 0644 (it holds " +
                         "keys: chmod 0600 " + path("bob.jvpn") + ")");
  chmod(path("bob.jvpn").c_str(), 0600);
  std::filesystem::create_directory(path("etc"));
  write("etc/bob.yaml", "mine");
  EXPECT_EQ(error(), path("etc/bob.yaml") +
                         ": can't move it there: File exists (remove or rename it first)");
  EXPECT_FALSE(std::filesystem::exists(path("etc/bob.key"))) << "it was taken back";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("etc")), {}), 1);
}

TEST_F(Import, AHostMayKeepItsOwnKey) {
  std::string text = kBundle;
  const size_t at = text.find("private_key: ");
  text.erase(at, text.find('\n', at) + 1 - at);
  write("bob.jvpn", text);
  EXPECT_NE(error().find("etc/bob.key: expected this host's private key there"), std::string::npos);
  write("etc/bob.key", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
  EXPECT_EQ(error(), "");
}

TEST_F(Import, ABundleMayNotHaveKeysLogged) {
  std::string text = kBundle;
  text.replace(text.find("bob.key}"), 8, "bob.key, key_log_file: /tmp/keys}");
  write("bob.jvpn", text);
  EXPECT_EQ(error(), path("bob.jvpn") +
                         ": expected a bundle of jvpn peer add, got one with crypto.key_log_file: "
                         "add it to the profile after the import");
  EXPECT_FALSE(std::filesystem::exists(path("etc")));
}

TEST(DefaultRoutes, NameTheDevicesByMetric) {
  const std::string v4 =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
      "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
      "eth1\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
      "tun9\t00000000\t00000000\t0001\t0\t0\t1\t00000080\t0\t0\t0\n";
  const std::string zero(32, '0');
  const std::string v6 = zero + " 00 " + zero + " 00 " + zero + " 000000c8 1 0 1 wwan0\n" + zero +
                         " 00 " + zero + " 00 " + zero + " ffffffff 1 0 200200 lo\n";
  EXPECT_EQ(default_route_devices(v4, v6), (std::vector<std::string>{"eth0", "wwan0", "wlan0"}));
  EXPECT_TRUE(default_route_devices("", "").empty());
}

TEST_F(Import, AFileIsWrittenWholeOrNotAtAll) {
  using files::Existing;
  ASSERT_TRUE(files::write_whole(path("a"), "one", 0640, Existing::kKeep));
  EXPECT_EQ(mode_of("a"), 0640U);
  EXPECT_FALSE(files::write_whole(path("a"), "two", 0600, Existing::kKeep));
  EXPECT_EQ(*read_text_file(path("a")), "one");
  ASSERT_TRUE(files::write_whole(path("a"), "two", 0600, Existing::kReplace));
  EXPECT_EQ(*read_text_file(path("a")), "two");
  std::filesystem::create_directory(path("d"));
  EXPECT_FALSE(files::write_whole(path("d"), "x", 0600, Existing::kReplace));
  EXPECT_FALSE(files::write_whole(path("none/a"), "x", 0600, Existing::kReplace));
  ASSERT_TRUE(files::remove_file(path("a")));
  ASSERT_TRUE(files::remove_file(path("a"))) << "it isn't there";
  for (const auto& each : std::filesystem::directory_iterator(folder_))
    EXPECT_FALSE(each.path().filename().string().starts_with('.')) << "left behind: " << each;
}

}  // namespace
}  // namespace jvpn
