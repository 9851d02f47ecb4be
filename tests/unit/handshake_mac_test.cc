// mac1, mac2 and cookies: what is proved, what is refused, and their definition against OpenSSL.
#include "common/handshake_mac.h"

#include <algorithm>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

namespace jvpn {
namespace {

using Bytes = std::vector<uint8_t>;

Mac openssl_cmac(std::span<const uint8_t> key, std::span<const uint8_t> message) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> cmac(
      EVP_MAC_fetch(nullptr, "CMAC", nullptr), EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(
      EVP_MAC_CTX_new(cmac.get()), EVP_MAC_CTX_free);
  char cipher[] = "AES-128-CBC";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
      OSSL_PARAM_construct_end()};
  Mac mac{};
  size_t length = 0;
  EVP_MAC_init(context.get(), key.data(), key.size(), parameters);
  EVP_MAC_update(context.get(), message.data(), message.size());
  EVP_MAC_final(context.get(), mac.data(), &length, mac.size());
  return mac;
}

std::array<uint8_t, 32> labelled(std::string_view label, const PublicKey& key) {
  Bytes input(label.begin(), label.end());
  input.insert(input.end(), key.begin(), key.end());
  return blake2s(input);
}

class HandshakeMac : public testing::Test {
 protected:
  HandshakeMac() {
    for (size_t i = 0; i < key_.size(); ++i) key_[i] = static_cast<uint8_t>(3 * i + 1);
    keys_ = ResponderMacKeys::derive(mac_, key_);
    mac_.expand(std::array<uint8_t, 16>{1}, secrets_.current);
    mac_.expand(std::array<uint8_t, 16>{2}, secrets_.previous);
    for (size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<uint8_t>(i);
  }

  MacVerdict check(const Endpoint& source) {
    return check_macs(mac_, keys_.mac1, secrets_, source, message_);
  }

  MessageMac mac_ = *MessageMac::create();
  Aead aead_ = *Aead::create();
  PublicKey key_{};
  ResponderMacKeys keys_;
  CookieSecrets secrets_{};
  Bytes message_ = Bytes(sizeof(wire::Initiation));
  Endpoint source_{IpAddress::v4({192, 0, 2, 7}), 40'000};
};

TEST_F(HandshakeMac, is_cmac_under_keys_from_blake2s) {
  const Mac cookie = cookie_for(mac_, secrets_.current, source_);
  write_macs(mac_, keys_.mac1, &cookie, message_);
  const std::span<const uint8_t> all(message_);
  const auto mac1_key = labelled("JVP/1 mac1", key_);
  const Mac mac1 = openssl_cmac(std::span(mac1_key).first(16), all.first(all.size() - 32));
  const Mac mac2 = openssl_cmac(cookie, all.first(all.size() - 16));
  EXPECT_TRUE(std::equal(mac1.begin(), mac1.end(), message_.end() - 32));
  EXPECT_TRUE(std::equal(mac2.begin(), mac2.end(), message_.end() - 16));
  EXPECT_EQ(keys_.cookie_label.bytes(), labelled("JVP/1 cookie", key_));

  Bytes place{4, 192, 0, 2, 7};
  place.resize(17);
  place.insert(place.end(), {0x40, 0x9C});  // 40000, little-endian
  EXPECT_EQ(cookie, openssl_cmac(std::array<uint8_t, 16>{1}, place));
}

TEST_F(HandshakeMac, without_a_cookie_mac2_is_zero) {
  write_macs(mac_, keys_.mac1, nullptr, message_);
  EXPECT_TRUE(std::all_of(message_.end() - 16, message_.end(), [](uint8_t b) { return b == 0; }));
  EXPECT_EQ(check(source_), MacVerdict::kMac1);
  EXPECT_TRUE(check_mac1(mac_, keys_.mac1, message_));
}

TEST_F(HandshakeMac, cookies_of_both_secrets_prove_the_source) {
  for (const MacKey* secret : {&secrets_.current, &secrets_.previous}) {
    const Mac cookie = cookie_for(mac_, *secret, source_);
    write_macs(mac_, keys_.mac1, &cookie, message_);
    EXPECT_EQ(check(source_), MacVerdict::kVerified);
    EXPECT_EQ(check({source_.address, 40'001}), MacVerdict::kMac1);
    EXPECT_EQ(check({IpAddress::v4({192, 0, 2, 8}), 40'000}), MacVerdict::kMac1);
    EXPECT_EQ(check({IpAddress::v6({192, 0, 2, 7}), 40'000}), MacVerdict::kMac1);
  }
  MacKey older;
  mac_.expand(std::array<uint8_t, 16>{3}, older);
  const Mac cookie = cookie_for(mac_, older, source_);
  write_macs(mac_, keys_.mac1, &cookie, message_);
  EXPECT_EQ(check(source_), MacVerdict::kMac1);
}

TEST_F(HandshakeMac, any_flipped_bit_is_seen) {
  const Mac cookie = cookie_for(mac_, secrets_.current, source_);
  write_macs(mac_, keys_.mac1, &cookie, message_);
  for (size_t bit = 0; bit < message_.size() * 8; ++bit) {
    message_[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    const bool in_mac2 = bit / 8 >= message_.size() - 16;
    EXPECT_EQ(check(source_), in_mac2 ? MacVerdict::kMac1 : MacVerdict::kBad) << "bit " << bit;
    message_[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  }
  EXPECT_EQ(check(source_), MacVerdict::kVerified);
}

TEST_F(HandshakeMac, many_at_once_are_judged_as_one_by_one) {
  std::vector<std::vector<uint8_t>> messages;
  std::vector<std::span<const uint8_t>> spans;
  for (size_t i = 0; i < kMaxMacs; ++i) {
    messages.emplace_back(33 + 7 * i, static_cast<uint8_t>(i));
    write_macs(mac_, keys_.mac1, nullptr, messages.back());
    if (i % 3 == 0) messages.back()[messages.back().size() - 17 - i % 16] ^= 1;
  }
  for (const auto& message : messages) spans.emplace_back(message);
  for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{17}, kMaxMacs}) {
    std::array<bool, kMaxMacs> right;
    right.fill(true);
    check_mac1s(mac_, keys_.mac1, std::span(spans).first(count), right);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(right[i], i % 3 != 0) << i << " of " << count;
      EXPECT_EQ(right[i], check_mac1(mac_, keys_.mac1, spans[i]));
    }
  }
}

TEST_F(HandshakeMac, a_worker_makes_the_reply_that_control_would) {
  const Mac mac1{5, 6, 7};
  secrets_.label = keys_.cookie_label.bytes();
  std::set<std::vector<uint8_t>> nonces;
  for (const ReplyNumber number : {ReplyNumber{0, 0}, ReplyNumber{0, 1}, ReplyNumber{1, 0}}) {
    const wire::SealedReply reply =
        make_cookie_reply(aead_, mac_, secrets_, source_, {0xAABBCCDD, mac1}, number);
    EXPECT_EQ(reply.type, wire::MessageType::kCookieReply);
    EXPECT_EQ(reply.receiver, 0xAABBCCDDU);
    EXPECT_EQ(open_reply(aead_, keys_.cookie_label, mac1, reply),
              cookie_for(mac_, secrets_.current, source_));
    nonces.emplace(reply.nonce, reply.nonce + sizeof reply.nonce);
  }
  EXPECT_EQ(nonces.size(), 3U);
}

TEST_F(HandshakeMac, another_responder_and_short_messages_are_bad) {
  write_macs(mac_, keys_.mac1, nullptr, message_);
  PublicKey other = key_;
  other[31] ^= 1;
  const auto other_keys = ResponderMacKeys::derive(mac_, other);
  EXPECT_FALSE(check_mac1(mac_, other_keys.mac1, message_));
  for (size_t length = 0; length < 32; ++length)
    EXPECT_FALSE(check_mac1(mac_, keys_.mac1, std::span(message_).first(length)));
}

TEST_F(HandshakeMac, sealed_replies_open_only_as_they_were_sealed) {
  const Mac cookie = cookie_for(mac_, secrets_.current, source_);
  const Mac mac1{5, 6, 7};
  const std::array<uint8_t, 24> nonce{8, 9};
  wire::SealedReply reply = seal_reply(aead_, wire::MessageType::kCookieReply, keys_.cookie_label,
                                       cookie, {0xAABBCCDD, mac1}, nonce);
  EXPECT_EQ(reply.type, wire::MessageType::kCookieReply);
  EXPECT_EQ(reply.receiver, 0xAABBCCDDU);
  EXPECT_FALSE(std::equal(cookie.begin(), cookie.end(), reply.value));
  EXPECT_EQ(open_reply(aead_, keys_.cookie_label, mac1, reply), cookie);

  EXPECT_FALSE(open_reply(aead_, keys_.cookie_label, Mac{5, 6, 8}, reply).has_value());
  EXPECT_FALSE(open_reply(aead_, Secret<32>(), mac1, reply).has_value());
  for (uint8_t* field : {reply.nonce, reply.value, reply.tag}) {
    field[3] ^= 1;
    EXPECT_FALSE(open_reply(aead_, keys_.cookie_label, mac1, reply).has_value());
    field[3] ^= 1;
  }
}

}  // namespace
}  // namespace jvpn
