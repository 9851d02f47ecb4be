#include "common/aead.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/wire.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using test::Bytes;

constexpr Suite kSuites[] = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};

struct Packet {
  Suite suite{};
  RawKey raw_key{};
  AeadKey key;
  wire::TransportHeader header{};
  Bytes plaintext;
  Bytes buffer;  // exactly header, plaintext and tag, so that sanitizers see any byte beyond

  AeadOp op() {
    return {.key = &key, .data = data(), .length = static_cast<uint32_t>(plaintext.size())};
  }
  uint8_t* data() { return buffer.data() + sizeof header; }
  Bytes body() const { return {buffer.begin() + sizeof header, buffer.end()}; }
  Nonce nonce() const {
    return transport_nonce(iv_of(raw_key), ReceiverIndex{header.receiver}, header.counter);
  }
};

class AeadTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = Aead::create();
    ASSERT_TRUE(created) << created.error().message;
    aead_.emplace(std::move(*created));
    seed_ = test::fresh_seed();
    random_.seed(seed_);
  }
  void TearDown() override {
    if (HasFailure()) std::printf("replay with JVPN_SEED=%s\n", std::to_string(seed_).c_str());
  }

  void fill(std::span<uint8_t> bytes) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
  }

  Packet packet(Suite suite, size_t length) {
    Packet p;
    p.suite = suite;
    fill(p.raw_key);
    fill({reinterpret_cast<uint8_t*>(&p.header), sizeof p.header});
    p.plaintext.resize(length);
    fill(p.plaintext);
    aead_->expand(suite, p.raw_key, p.key);
    p.buffer.resize(sizeof p.header + length + kAeadTagBytes);
    std::memcpy(p.buffer.data(), &p.header, sizeof p.header);
    std::ranges::copy(p.plaintext, p.data());
    return p;
  }

  std::vector<Packet> mixed_packets(size_t count) {
    std::vector<Packet> packets;
    for (size_t i = 0; i < count; ++i) packets.push_back(packet(kSuites[random_() % 3], size()));
    return packets;
  }

  static std::vector<AeadOp> ops(std::vector<Packet>& packets) {
    std::vector<AeadOp> burst;
    burst.reserve(packets.size());
    for (Packet& p : packets) burst.push_back(p.op());
    return burst;
  }

  /// 0 to 2000, the short ones and block edges often.
  size_t size() { return random_() % 4 == 0 ? random_() % 70 : random_() % 2001; }

  std::optional<Aead> aead_;
  std::mt19937_64 random_;
  uint64_t seed_ = 0;
};

TEST_F(AeadTest, NamesItsArchitecture) {
  EXPECT_STRNE(aead_->architecture(), "unknown");
}

TEST_F(AeadTest, EveryLengthMatchesOpenSsl) {
  for (const Suite suite : kSuites) {
    for (size_t length = 0; length <= 2000; length += length < 300 ? 1 : 37) {
      Packet p = packet(suite, length);
      AeadOp op = p.op();
      aead_->seal({&op, 1});
      ASSERT_EQ(p.body(), test::openssl_seal(suite, p.raw_key, p.nonce(), p.plaintext))
          << "suite " << int(suite) << ", length " << length;
      aead_->open({&op, 1});
      ASSERT_TRUE(op.ok);
      ASSERT_TRUE(std::ranges::equal(p.plaintext, std::span(p.data(), length)));
    }
  }
}

TEST_F(AeadTest, MixedBurstsMatchOpenSsl) {
  for (const size_t count : {0, 1, 2, 7, 32, 63, 64, 65, 200, 600}) {
    std::vector<Packet> packets = mixed_packets(count);
    std::vector<AeadOp> burst = ops(packets);
    aead_->seal(burst);
    for (const Packet& p : packets)
      ASSERT_EQ(p.body(), test::openssl_seal(p.suite, p.raw_key, p.nonce(), p.plaintext))
          << "burst of " << count << ", suite " << int(p.suite);
    aead_->open(burst);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(burst[i].ok) << "burst of " << count << ", packet " << i;
      ASSERT_TRUE(
          std::ranges::equal(packets[i].plaintext, std::span(burst[i].data, burst[i].length)));
    }
  }
}

TEST_F(AeadTest, BurstRefusesExactlyTheTampered) {
  std::vector<Packet> packets = mixed_packets(300);
  std::vector<AeadOp> burst = ops(packets);
  aead_->seal(burst);
  std::vector<bool> tampered(packets.size());
  for (size_t i = 0; i < packets.size(); ++i) {
    tampered[i] = random_() % 2 == 0;
    if (!tampered[i]) continue;
    const size_t nonce_at = sizeof(wire::TransportHeader) - kAeadNonceBytes;
    const size_t byte = nonce_at + random_() % (packets[i].buffer.size() - nonce_at);
    packets[i].buffer[byte] ^= static_cast<uint8_t>(1U << (random_() % 8));
  }
  aead_->open(burst);
  for (size_t i = 0; i < packets.size(); ++i) {
    const std::span body(burst[i].data, burst[i].length);
    EXPECT_EQ(burst[i].ok, !tampered[i]) << "packet " << i;
    if (burst[i].ok)
      EXPECT_TRUE(std::ranges::equal(body, packets[i].plaintext));
    else
      EXPECT_TRUE(std::ranges::all_of(body, [](uint8_t b) { return b == 0; })) << "packet " << i;
  }
}

TEST_F(AeadTest, EveryTagBitCounts) {
  for (const Suite suite : kSuites) {
    Packet p = packet(suite, 40);
    AeadOp op = p.op();
    aead_->seal({&op, 1});
    const Bytes sealed = p.buffer;
    for (size_t bit = 0; bit < 8 * kAeadTagBytes; ++bit) {
      p.buffer = sealed;
      p.data()[40 + bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
      op = p.op();
      aead_->open({&op, 1});
      ASSERT_FALSE(op.ok) << "suite " << int(suite) << ", bit " << bit;
    }
  }
}

TEST_F(AeadTest, RefusesWrongNonceAndKey) {
  for (const Suite suite : kSuites) {
    Packet p = packet(suite, 100);
    AeadOp op = p.op();
    aead_->seal({&op, 1});
    const Bytes sealed = p.buffer;
    p.buffer[sizeof p.header - 1] ^= 1;
    aead_->open({&op, 1});
    EXPECT_FALSE(op.ok);
    p.buffer = sealed;
    const Packet other = packet(suite, 0);
    op = p.op();
    op.key = &other.key;
    aead_->open({&op, 1});
    EXPECT_FALSE(op.ok);
  }
}

TEST_F(AeadTest, OneMessageWithAssociatedData) {
  for (int round = 0; round < 600; ++round) {
    const Packet p = packet(kSuites[random_() % 3], size());
    Bytes aad(random_() % 80);
    fill(aad);
    Bytes data = p.plaintext;
    std::array<uint8_t, kAeadTagBytes> tag;
    aead_->seal_one(p.key, p.nonce(), aad, data, tag);
    Bytes sealed = data;
    sealed.insert(sealed.end(), tag.begin(), tag.end());
    ASSERT_EQ(sealed, test::openssl_seal(p.suite, p.raw_key, p.nonce(), p.plaintext, aad));
    Bytes opened = data;
    ASSERT_TRUE(aead_->open_one(p.key, p.nonce(), aad, opened, tag));
    ASSERT_EQ(opened, p.plaintext);
    aad.push_back(0);
    ASSERT_FALSE(aead_->open_one(p.key, p.nonce(), aad, data, tag));
    ASSERT_EQ(data, Bytes(data.size())) << "wiped";
  }
}

TEST(TransportNonce, ReceiverThenCounterLittleEndian) {
  const Nonce nonce = transport_nonce(Nonce{}, ReceiverIndex{0x04030201}, 0x0c0b0a0908070605);
  EXPECT_EQ(nonce, (Nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

TEST(TransportNonce, TheKeysIvHidesIt) {
  const Nonce iv{0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xC0};
  const Nonce nonce = transport_nonce(iv, ReceiverIndex{0x04030201}, 0x0c0b0a0908070605);
  EXPECT_EQ(nonce, (Nonce{0x11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xCC}));
}

}  // namespace
}  // namespace jvpn
