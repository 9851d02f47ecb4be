// ChaCha20-Poly1305 vectors of BoringSSL and OpenSSL (RFC 8439 among them).
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/vectors/aead_case.h"

namespace jvpn::test {
namespace {

constexpr const char* kFolder =
    "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/ChaCha20Poly1305/";

/// The names under which a file keeps the parts of a case.
struct Names {
  const char *key, *nonce, *aad, *plaintext, *ciphertext, *tag;
};
constexpr Names kBoringSsl{"KEY", "NONCE", "AD", "IN", "CT", "TAG"};
constexpr Names kOpenSsl{"Key", "IV", "AAD", "Plaintext", "Ciphertext", "Tag"};

AeadCase case_of(const Record& record, const Names& names) {
  return {.suite = Suite::kChaCha20Poly1305,
          .key = record.bytes(names.key),
          .nonce = record.bytes(names.nonce),
          .aad = record.bytes(names.aad),
          .plaintext = record.bytes(names.plaintext),
          .ciphertext = record.bytes(names.ciphertext),
          .tag = record.bytes(names.tag)};
}

void run_file(const std::string& file, const Names& names, size_t at_least) {
  auto aead = Aead::create();
  ASSERT_TRUE(aead) << aead.error().message;
  AeadCaseRunner runner(*aead);
  size_t passed = 0;
  size_t total = 0;
  size_t skipped = 0;
  for (const Record& record : read_records(kFolder + file)) {
    const AeadCase c = case_of(record, names);
    if (!c.supported()) {
      std::printf("skipped: %s, COUNT %s: %zu-byte nonce, %zu-byte tag\n", file.c_str(),
                  record.text("COUNT").c_str(), c.nonce.size(), c.tag.size());
      ++skipped;
      continue;
    }
    ++total;
    const bool good = record.has("Result") ? runner.refuses(c) : runner.seals(c) && runner.opens(c);
    EXPECT_TRUE(good) << file << ", COUNT " << record.text("COUNT");
    passed += good;
  }
  std::printf("ChaCha20-Poly1305: passed %zu of %zu, skipped %zu (%s)\n", passed, total, skipped,
              file.c_str());
  EXPECT_GE(total, at_least) << "vectors missing in " << kFolder + file;
}

TEST(ChachaVectors, BoringSsl) {
  run_file("boringssl.txt", kBoringSsl, 60);
}
TEST(ChachaVectors, OpenSsl) {
  run_file("openssl.txt", kOpenSsl, 4);
}

}  // namespace
}  // namespace jvpn::test
