// X25519 vectors of RFC 7748, §5.2: single and iterated.
#include <cstdio>

#include <gtest/gtest.h>

#include "common/noise.h"
#include "tests/support/rooms.h"
#include "tests/vectors/vector_file.h"

namespace jvpn::test {
namespace {

constexpr const char* kFile =
    "/usr/lib/python3/dist-packages/cryptography_vectors/asymmetric/X25519/rfc7748.txt";

SecretKey secret_of(const Bytes& bytes) {
  return SecretKey(array_of<kDhBytes>(bytes));
}

TEST(X25519Vectors, Rfc7748) {
  size_t passed = 0;
  size_t total = 0;
  for (const Record& record : read_records(kFile)) {
    ++total;
    PublicKey shared;
    const bool derived = x25519(secret_of(record.bytes("INPUT_SCALAR")),
                                array_of<kDhBytes>(record.bytes("INPUT_U")), shared);
    const bool good = derived && shared == array_of<kDhBytes>(record.bytes("OUTPUT_U"));
    EXPECT_TRUE(good) << "COUNT " << record.text("COUNT");
    passed += good;
  }
  std::printf("X25519 RFC 7748: passed %zu of %zu\n", passed, total);
  EXPECT_GE(total, 3U) << "vectors missing in " << kFile;
}

PublicKey iterated(int times) {
  PublicKey scalar{9};
  PublicKey u = scalar;
  for (int i = 0; i < times; ++i) {
    PublicKey shared;
    EXPECT_TRUE(x25519(SecretKey(scalar), u, shared));
    u = scalar;
    scalar = shared;
  }
  return scalar;
}

TEST(X25519Vectors, IteratedOnce) {
  EXPECT_EQ(iterated(1), array_of<kDhBytes>(bytes_of(
                             "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")));
}

TEST(X25519Vectors, IteratedThousandTimes) {
  EXPECT_EQ(iterated(1000),
            array_of<kDhBytes>(
                bytes_of("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")));
}

}  // namespace
}  // namespace jvpn::test
