#include "control/admin/key_log.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/profile.h"
#include "control/admin/path_checks.h"

namespace jvpn::test {
namespace {

using admin::KeyLog;

constexpr Place kPlace{7, 17};

/// A folder of its own for each test, gone with it.
class KeyLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "jvpn-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name = "keys.log") const { return (folder_ / name).string(); }
  std::string text(std::string_view name = "keys.log") const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  mode_t mode() const {
    struct stat info {};
    EXPECT_EQ(stat(path().c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  Result<std::unique_ptr<KeyLog>> open(std::string_view name = "keys.log") {
    return KeyLog::open(path(name), [this](const std::string& line) { told_.push_back(line); });
  }
  /// What is wrong with it before the start, and at the start.
  std::pair<std::string, std::string> refusals(std::string_view name) {
    const auto findings =
        admin::check_key_log({path(name), "crypto.key_log_file", kPlace}, "gw.yaml");
    const auto opened = open(name);
    return {findings.empty() ? "" : findings[0], opened ? "" : opened.error().message};
  }

  std::filesystem::path folder_;
  std::vector<std::string> told_;
};

RawKey key_from(uint8_t first) {
  RawKey key;
  std::iota(key.begin(), key.end(), first);
  return key;
}

session::RxInstall an_rx(Suite suite) {
  session::RxInstall rx;
  rx.index = ReceiverIndex{0x11223344};
  rx.suite = suite;
  rx.traffic_key = key_from(0);
  rx.control_key = key_from(0x80);
  rx.data_mask = 0x0102030405060708;
  rx.control_mask = 0xF1F2F3F4F5F6F7F8;
  return rx;
}

constexpr const char* kAes128Line =
    "jvp1 11223344 aes-128-gcm 000102030405060708090a0b0c0d0e0f 202122232425262728292a2b "
    "0102030405060708 808182838485868788898a8b8c8d8e8f a0a1a2a3a4a5a6a7a8a9aaab f1f2f3f4f5f6f7f8\n";

TEST_F(KeyLogTest, EachInstallIsALine) {
  auto log = open();
  ASSERT_TRUE(log) << log.error().message;
  session::Effects effects;
  effects.install_rx(an_rx(Suite::kAes128Gcm));
  session::TxInstall tx;
  tx.peer_index = ReceiverIndex{5};
  tx.suite = Suite::kChaCha20Poly1305;
  tx.traffic_key = key_from(0x40);
  tx.data_mask = 1;
  effects.install_tx(tx);
  effects.retire_rx(ReceiverIndex{5});
  (*log)->write(effects);
  const std::string two = text();
  EXPECT_EQ(two, std::string(kAes128Line) +
                     "jvp1 00000005 chacha20-poly1305 "
                     "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f "
                     "606162636465666768696a6b 0000000000000001 - - -\n");
  effects.clear();
  (*log)->write(effects);
  EXPECT_EQ(text(), two) << "nothing was installed";
}

TEST_F(KeyLogTest, TheFileIsItsOwnersAlone) {
  const mode_t before = umask(0);
  const auto log = open();
  umask(before);
  ASSERT_TRUE(log);
  EXPECT_EQ(mode(), 0600u);
  ASSERT_EQ(told_.size(), 1u) << "each start says so";
  EXPECT_NE(told_[0].find("whoever reads it reads all traffic"), std::string::npos) << told_[0];
}

TEST_F(KeyLogTest, AFileThatIsThereIsAddedTo) {
  session::Effects effects;
  effects.install_rx(an_rx(Suite::kAes128Gcm));
  (*open())->write(effects);
  (*open())->write(effects);
  EXPECT_EQ(text(), std::string(kAes128Line) + kAes128Line);
}

TEST_F(KeyLogTest, APlaceThatOthersReachIsRefused) {
  std::ofstream(path("readable")) << "";
  chmod(path("readable").c_str(), 0640);
  std::filesystem::create_directory(path("folder"));
  std::filesystem::create_symlink(path("readable"), path("link"));
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  for (const auto& [name, got] : std::vector<std::pair<std::string, std::string>>{
           {"readable", "mode 0640"},
           {"folder", "irectory"},
           {"link", "a symbolic link"},
           {"fifo", ""},
           {"none/keys.log", "No such file or directory"}}) {
    const auto [before, at_start] = refusals(name);
    EXPECT_TRUE(
        before.starts_with("gw.yaml:7:17: crypto.key_log_file: expected a file with mode "
                           "0600, or a folder where one can be made, got "))
        << before;
    EXPECT_NE(before.find(got), std::string::npos) << before;
    EXPECT_TRUE(at_start.starts_with("crypto.key_log_file: " + path(name))) << at_start;
    EXPECT_NE(at_start.find(got), std::string::npos) << at_start;
  }
  EXPECT_EQ(text("readable"), "");
  EXPECT_TRUE(told_.empty());
  EXPECT_EQ(refusals("keys.log"), std::pair(std::string(), std::string()));
}

TEST_F(KeyLogTest, AFileOfSomebodyElseIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  std::ofstream(path()) << "";
  chmod(path().c_str(), 0600);
  ASSERT_EQ(chown(path().c_str(), 65'534, 65'534), 0);
  const auto log = open();
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().message, "crypto.key_log_file: " + path() +
                                     ": expected a file of uid 0, got one of uid 65534; remove it, "
                                     "and a new one is made");
}

TEST_F(KeyLogTest, WhatCannotBeWrittenIsToldOnce) {
  auto log = open();
  ASSERT_TRUE(log);
  session::Effects effects;
  effects.install_rx(an_rx(Suite::kAes256Gcm));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  (*log)->write(effects);
  (*log)->write(effects);
  setrlimit(RLIMIT_FSIZE, &before);
  (void)signal(SIGXFSZ, handler);
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_NE(told_[1].find("keys aren't written any more: File too large"), std::string::npos)
      << told_[1];
  (*log)->write(effects);
  EXPECT_EQ(text().size(), std::string(kAes128Line).size() + 64) << "it is tried again";
}

TEST_F(KeyLogTest, ALineThatWasWrittenInPartSpoilsNoOther) {
  session::Effects effects;
  effects.install_rx(an_rx(Suite::kAes128Gcm));
  const std::string part = std::string(kAes128Line).substr(0, 10);
  auto log = open();
  ASSERT_TRUE(log);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit little{part.size(), before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &little);
  (*log)->write(effects);
  EXPECT_EQ(text(), part);
  (*log)->write(effects);
  setrlimit(RLIMIT_FSIZE, &before);
  (void)signal(SIGXFSZ, handler);
  (*log)->write(effects);
  (*log)->write(effects);
  EXPECT_EQ(text(), part + "\n" + kAes128Line + kAes128Line);

  std::ofstream(path(), std::ios::app) << part;  // a program that ended there
  (*open())->write(effects);
  EXPECT_EQ(text(), part + "\n" + kAes128Line + kAes128Line + part + "\n" + kAes128Line);
}

TEST_F(KeyLogTest, NothingIsLoggedUnlessTheProfileNamesAFile) {
  const std::string& path = CryptoProfile{}.key_log_file.path;
  const auto log = KeyLog::open(path, [](const std::string& line) { FAIL() << line; });
  ASSERT_TRUE(log);
  EXPECT_EQ(*log, nullptr);
  EXPECT_TRUE(admin::check_key_log({}, "gw.yaml").empty());
}

}  // namespace
}  // namespace jvpn::test
