// What an EtcdClient is made with: every wrong endpoint and file is refused by name.
#include "control/cluster/etcd_options.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/cluster/etcd_client.h"
#include "tests/support/certificates.h"
#include "tests/support/must.h"

namespace jvpn::cluster {
namespace {

class EtcdOptionsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "jvpn-pem-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern + "/";
    const auto authority = test::must(test::Authority::make("ca", folder_ + "ca.pem"));
    ASSERT_TRUE(authority.issue(folder_ + "client", "client", ""));
    ASSERT_TRUE(authority.issue(folder_ + "other", "other", ""));
    write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("large.pem", std::string(300'000, 'A'));
    write("empty.pem", "");
    // Encrypted keys make OpenSSL ask at the terminal, unless it is kept from it.
    write("encrypted.key",
          "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
          "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAAAAAAAAAAAAAAAAAAAA==\n"
          "-----END RSA PRIVATE KEY-----\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + name) << text;
    ASSERT_EQ(chmod((folder_ + name).c_str(), 0600), 0);
  }
  std::string path(const std::string& name) const { return name.empty() ? "" : folder_ + name; }
  EtcdOptions options(const std::string& ca, const std::string& certificate,
                      const std::string& key) const {
    return {.endpoints = {"https://127.0.0.1:2379"},
            .ca_file = path(ca),
            .certificate_file = path(certificate),
            .key_file = path(key)};
  }

  std::string folder_;
};

TEST_F(EtcdOptionsTest, EndpointsAreAddresses) {
  for (const char* good :
       {"https://10.0.0.1:2379", "http://127.0.0.1:1", "https://[2001:db8::1]:65535"}) {
    EXPECT_TRUE(check_endpoint(good)) << good;
  }
  for (const char* bad :
       {"", "https", "://", "https://", "10.0.0.1:2379", "https://10.0.0.1", "https://10.0.0.1:0",
        "https://10.0.0.1:65536", "https://10.0.0.1:2379/", "https://10.0.0.1:2379/v3",
        "https://etcd1:2379", "https://localhost:2379", "ftp://10.0.0.1:2379",
        "HTTPS://10.0.0.1:2379", "https://user:word@10.0.0.1:2379", "https://2001:db8::1:2379",
        "https://[fe80::1%eth0]:2379", " https://10.0.0.1:2379", "https://10.0.0.1:2379 "}) {
    const auto checked = check_endpoint(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_NE(checked.error().message.find("expected https://ADDRESS:PORT"), std::string::npos);
  }
}

TEST_F(EtcdOptionsTest, ClientsAreMadeOfSoundOptions) {
  EXPECT_TRUE(EtcdClient::create(options("ca.pem", "client.pem", "client.key")));
  EXPECT_TRUE(EtcdClient::create(options("ca.pem", "", "")));
  EXPECT_TRUE(EtcdClient::create({.endpoints = {"http://127.0.0.1:2379"}}));
  EXPECT_FALSE(EtcdClient::create({}));
  EXPECT_FALSE(EtcdClient::create({.endpoints = {"http://127.0.0.1:2379", "http://etcd:2379"}}));
  EXPECT_FALSE(EtcdClient::create({.endpoints = std::vector<std::string>(
                                       EtcdClient::kMostEndpoints + 1, "http://127.0.0.1:2379")}));
}

TEST_F(EtcdOptionsTest, EveryWrongFileIsNamed) {
  ASSERT_EQ(chmod(path("other.key").c_str(), 0640), 0);
  struct Case {
    EtcdOptions options;
    const char* trouble;
  };
  const Case cases[] = {
      {options("", "client.pem", "client.key"), "ca_file: expected the certificate"},
      {options("none.pem", "", ""), "none.pem"},
      {options("junk.pem", "", ""), "ca_file: expected a certificate in PEM"},
      {options("empty.pem", "", ""), "ca_file: expected a certificate in PEM"},
      {options("client.key", "", ""), "ca_file: expected a certificate in PEM"},
      {options("large.pem", "", ""), "256 KiB"},
      {options("ca.pem", "client.pem", ""), "both or none"},
      {options("ca.pem", "", "client.key"), "both or none"},
      {options("ca.pem", "junk.pem", "client.key"), "certificate_file: expected a certificate"},
      {options("ca.pem", "client.pem", "none.key"), "none.key"},
      {options("ca.pem", "client.pem", "client.pem"), "key_file: expected a file with mode 0600"},
      {options("ca.pem", "other.pem", "other.key"), "mode 0640"},
      {options("ca.pem", "client.pem", "junk.pem"), "key_file: expected a private key"},
      {options("ca.pem", "client.pem", "encrypted.key"), "without a passphrase"},
      {options("ca.pem", "other.pem", "client.key"), "the key of certificate_file"},
  };
  for (const Case& each : cases) {
    const auto client = EtcdClient::create(each.options);
    ASSERT_FALSE(client) << each.trouble;
    EXPECT_NE(client.error().message.find(each.trouble), std::string::npos)
        << client.error().message;
  }
}

}  // namespace
}  // namespace jvpn::cluster
