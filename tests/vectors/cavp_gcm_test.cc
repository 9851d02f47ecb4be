// NIST CAVP vectors of AES-GCM (gcmtestvectors): 128- and 256-bit keys, 96-bit IV, 128-bit tag.
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/vectors/aead_case.h"

namespace jvpn::test {
namespace {

constexpr size_t kCasesPerFile = 375;  // 25 combinations of lengths, 15 cases each

AeadCase case_of(const Record& record) {
  const Bytes key = record.bytes("Key");
  return {.suite = key.size() == 16 ? Suite::kAes128Gcm : Suite::kAes256Gcm,
          .key = key,
          .nonce = record.bytes("IV"),
          .aad = record.bytes("AAD"),
          .plaintext = record.bytes("PT"),
          .ciphertext = record.bytes("CT"),
          .tag = record.bytes("Tag")};
}

class CavpGcm : public testing::TestWithParam<const char*> {
 protected:
  static std::string path() {
    const std::string folder = from_environment(
        "JVPN_CAVP_DIR", "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/AES/GCM");
    return folder + "/" + GetParam();
  }
};

TEST_P(CavpGcm, EveryCase) {
  auto aead = Aead::create();
  ASSERT_TRUE(aead) << aead.error().message;
  AeadCaseRunner runner(*aead);
  const bool encrypts = std::string_view(GetParam()).starts_with("gcmEncrypt");
  size_t passed = 0;
  size_t total = 0;
  for (const Record& record : read_records(path())) {
    const AeadCase c = case_of(record);
    if (!record.has("Key") || !c.supported()) continue;
    ++total;
    const bool valid = !record.has("FAIL");
    const bool good = valid ? runner.opens(c) && (!encrypts || runner.seals(c)) : runner.refuses(c);
    EXPECT_TRUE(good) << GetParam() << ", Count " << record.text("Count") << ", key "
                      << record.text("Key");
    passed += good;
  }
  std::printf("CAVP GCM: passed %zu of %zu (%s)\n", passed, total, GetParam());
  EXPECT_GE(total, kCasesPerFile) << "vectors missing in " << path();
}

INSTANTIATE_TEST_SUITE_P(Files, CavpGcm,
                         testing::Values("gcmEncryptExtIV128.rsp", "gcmEncryptExtIV256.rsp",
                                         "gcmDecrypt128.rsp", "gcmDecrypt256.rsp"));

}  // namespace
}  // namespace jvpn::test
