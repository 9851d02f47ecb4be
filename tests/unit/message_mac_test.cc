#include "common/message_mac.h"

#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "tests/support/rooms.h"
#include "tests/vectors/vector_file.h"

namespace jvpn {
namespace {

using test::array_of;
using test::Bytes;
using test::bytes_of;

class MessageMacTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = MessageMac::create();
    ASSERT_TRUE(created) << created.error().message;
    mac_.emplace(std::move(*created));
  }
  Mac compute(const Bytes& key, const Bytes& message) {
    MacKey expanded;
    mac_->expand(array_of<16>(key), expanded);
    return mac_->compute(expanded, message);
  }

  std::optional<MessageMac> mac_;
};

constexpr std::string_view kKey = "2b7e151628aed2a6abf7158809cf4f3c";
constexpr std::string_view kMessage =
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

struct Vector {
  int number;
  size_t length;
  std::string_view mac;
};

// RFC 4493, §4.
constexpr Vector kVectors[] = {
    {1, 0, "bb1d6929e95937287fa37d129b756746"},
    {2, 16, "070a16b46b4d4144f79bdd9dd04a287c"},
    {3, 40, "dfa66747de9ae63030ca32611497c827"},
    {4, 64, "51f0bebf7e3b9d92fc49741779363cfe"},
};

TEST_F(MessageMacTest, Rfc4493Vectors) {
  for (const Vector& v : kVectors) {
    Bytes message = bytes_of(kMessage);
    message.resize(v.length);
    EXPECT_EQ(compute(bytes_of(kKey), message), array_of<16>(bytes_of(v.mac)))
        << "example " << v.number;
  }
}

TEST_F(MessageMacTest, Rfc4493Subkeys) {
  MacKey key;
  mac_->expand(array_of<16>(bytes_of(kKey)), key);
  const Bytes subkey1 = bytes_of("fbeed618357133667c85e08f7236a8de");
  const Bytes subkey2 = bytes_of("f7ddac306ae266ccf90bc11ee46d513b");
  EXPECT_EQ(std::memcmp(key.subkey1, subkey1.data(), 16), 0);
  EXPECT_EQ(std::memcmp(key.subkey2, subkey2.data(), 16), 0);
}

Mac reference_mac(const Bytes& key, const Bytes& message) {
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "CMAC", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(algorithm);
  char cipher[] = "AES-128-CBC";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                               OSSL_PARAM_construct_end()};
  Mac mac{};
  size_t written = 0;
  EXPECT_EQ(EVP_MAC_init(context, key.data(), key.size(), params), 1);
  EXPECT_EQ(EVP_MAC_update(context, message.data(), message.size()), 1);
  EXPECT_EQ(EVP_MAC_final(context, mac.data(), &written, mac.size()), 1);
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(algorithm);
  return mac;
}

TEST_F(MessageMacTest, EveryLengthMatchesOpenSsl) {
  Bytes message;
  for (size_t length = 0; length < 400; ++length) {
    ASSERT_EQ(compute(bytes_of(kKey), message), reference_mac(bytes_of(kKey), message)) << length;
    message.push_back(static_cast<uint8_t>(length * 7));
  }
}

}  // namespace
}  // namespace jvpn
