#include "common/handshake_mac.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "common/assert.h"
#include "common/secret.h"

namespace jvpn {
namespace {

constexpr std::string_view kMac1Label = "JVP/1 mac1";
constexpr std::string_view kCookieLabel = "JVP/1 cookie";
constexpr size_t kMacsBytes = 2 * kMacBytes;

std::array<uint8_t, kHashBytes> labelled_hash(std::string_view label, const PublicKey& key) {
  std::array<uint8_t, kCookieLabel.size() + kDhBytes> input{};
  auto end = std::copy(label.begin(), label.end(), input.begin());
  end = std::copy(key.begin(), key.end(), end);
  return blake2s({input.begin(), end});
}

std::span<const uint8_t> before_mac1(std::span<const uint8_t> message) {
  return message.first(message.size() - kMacsBytes);
}

std::span<const uint8_t> before_mac2(std::span<const uint8_t> message) {
  return message.first(message.size() - kMacBytes);
}

MacKey expand_cookie(MessageMac& mac, const Mac& cookie) {
  MacKey key;
  mac.expand(cookie, key);
  return key;
}

bool check_mac2_under(MessageMac& mac, const MacKey& secret, const Endpoint& source,
                      std::span<const uint8_t> message) {
  MacKey key = expand_cookie(mac, cookie_for(mac, secret, source));
  const Mac expected = mac.compute(key, before_mac2(message));
  wipe(&key, sizeof key);
  return equal_constant_time(expected, message.last(kMacBytes));
}

// The AEAD key of one sealed reply: unique by its nonce, so the AEAD's own nonce is zero.
void derive_reply_key(Aead& aead, const Secret<32>& kind, std::span<const uint8_t, 24> nonce,
                      AeadKey& out) {
  Secret<32 + 24> input;
  const auto end = std::copy(kind.bytes().begin(), kind.bytes().end(), input.bytes().begin());
  std::copy(nonce.begin(), nonce.end(), end);
  const Secret<32> key(std::span<const uint8_t, kHashBytes>(blake2s(input.span())));
  aead.expand(Suite::kChaCha20Poly1305, key.span(), out);
}

template <typename Message>
Message seal_value(Aead& aead, wire::MessageType type, const Secret<32>& key,
                   std::span<const uint8_t, sizeof(Message::value)> value, const Answered& answered,
                   std::span<const uint8_t, 24> nonce) {
  Message message{};
  message.type = type;
  message.receiver = answered.sender;
  std::ranges::copy(nonce, message.nonce);
  std::ranges::copy(value, message.value);
  AeadKey once;
  derive_reply_key(aead, key, nonce, once);
  aead.seal_one(once, Nonce{}, answered.mac1, message.value, message.tag);
  wipe(&once, sizeof once);
  return message;
}

template <typename Message>
std::optional<std::array<uint8_t, sizeof(Message::value)>> open_value(Aead& aead,
                                                                      const Secret<32>& key,
                                                                      const Mac& mac1,
                                                                      const Message& message) {
  std::array<uint8_t, sizeof message.value> value = std::to_array(message.value);
  AeadKey once;
  derive_reply_key(aead, key, message.nonce, once);
  const bool ok = aead.open_one(once, Nonce{}, mac1, value, message.tag);
  wipe(&once, sizeof once);
  if (!ok) return std::nullopt;
  return value;
}

}  // namespace

ResponderMacKeys ResponderMacKeys::derive(MessageMac& mac, const PublicKey& responder) {
  ResponderMacKeys keys;
  const auto mac1 = labelled_hash(kMac1Label, responder);
  mac.expand(std::span<const uint8_t, 16>(mac1.data(), 16), keys.mac1);
  keys.cookie_label =
      Secret<32>(std::span<const uint8_t, 32>(labelled_hash(kCookieLabel, responder)));
  return keys;
}

Mac cookie_for(MessageMac& mac, const MacKey& secret, const Endpoint& source) {
  std::array<uint8_t, 1 + 16 + 2> input{};
  input[0] = static_cast<uint8_t>(source.address.family);
  std::copy(source.address.bytes.begin(), source.address.bytes.end(), input.begin() + 1);
  input[17] = static_cast<uint8_t>(source.port);
  input[18] = static_cast<uint8_t>(source.port >> 8);
  return mac.compute(secret, input);
}

void write_macs(MessageMac& mac, const MacKey& mac1_key, const Mac* cookie,
                std::span<uint8_t> message) {
  const Mac mac1 = mac.compute(mac1_key, before_mac1(message));
  std::copy(mac1.begin(), mac1.end(), message.end() - kMacsBytes);
  Mac mac2{};
  if (cookie != nullptr) {
    MacKey key = expand_cookie(mac, *cookie);
    mac2 = mac.compute(key, before_mac2(message));
    wipe(&key, sizeof key);
  }
  std::copy(mac2.begin(), mac2.end(), message.end() - kMacBytes);
}

bool check_mac1(MessageMac& mac, const MacKey& mac1_key, std::span<const uint8_t> message) {
  if (message.size() < kMacsBytes) return false;
  const Mac expected = mac.compute(mac1_key, before_mac1(message));
  return equal_constant_time(expected, message.subspan(message.size() - kMacsBytes, kMacBytes));
}

MacVerdict check_macs(MessageMac& mac, const MacKey& mac1_key, const CookieSecrets& secrets,
                      const Endpoint& source, std::span<const uint8_t> message) {
  if (!check_mac1(mac, mac1_key, message)) return MacVerdict::kBad;
  const bool verified = shows_cookie(message) && check_cookie(mac, secrets, source, message);
  return verified ? MacVerdict::kVerified : MacVerdict::kMac1;
}

void check_mac1s(MessageMac& mac, const MacKey& mac1_key,
                 std::span<const std::span<const uint8_t>> messages, std::span<bool> right) {
  JVPN_DEBUG_ASSERT(messages.size() <= kMaxMacs && messages.size() <= right.size(),
                    "as many verdicts as messages");
  std::array<std::span<const uint8_t>, kMaxMacs> covered;
  std::array<Mac, kMaxMacs> expected;
  for (size_t i = 0; i < messages.size(); ++i) covered[i] = before_mac1(messages[i]);
  mac.compute(mac1_key, std::span(covered).first(messages.size()), expected);
  for (size_t i = 0; i < messages.size(); ++i)
    right[i] = equal_constant_time(expected[i],
                                   messages[i].subspan(messages[i].size() - kMacsBytes, kMacBytes));
}

bool shows_cookie(std::span<const uint8_t> message) {
  static constexpr Mac kNoCookie{};
  return !equal_constant_time(kNoCookie, message.last(kMacBytes));
}

bool check_cookie(MessageMac& mac, const CookieSecrets& secrets, const Endpoint& source,
                  std::span<const uint8_t> message) {
  return check_mac2_under(mac, secrets.current, source, message) ||
         check_mac2_under(mac, secrets.previous, source, message);
}

wire::SealedReply seal_reply(Aead& aead, wire::MessageType type, const Secret<32>& key,
                             const std::array<uint8_t, 16>& value, const Answered& answered,
                             std::span<const uint8_t, 24> nonce) {
  return seal_value<wire::SealedReply>(aead, type, key, value, answered, nonce);
}

wire::SealedReply make_cookie_reply(Aead& aead, MessageMac& mac, const CookieSecrets& secrets,
                                    const Endpoint& source, const Answered& answered,
                                    const ReplyNumber& number) {
  // One block, and what a cookie is made of is longer: no number passes for a source.
  struct {
    uint64_t reply;
    uint32_t worker;
    uint32_t half;
  } input{number.reply, number.worker, 0};
  static_assert(sizeof input == kMacBytes);
  const auto half = [&] {
    const auto block =
        mac.compute(secrets.current, {reinterpret_cast<const uint8_t*>(&input), sizeof input});
    ++input.half;
    return block;
  };
  std::array<uint8_t, sizeof wire::SealedReply::nonce> nonce;
  std::ranges::copy(half(), nonce.begin());
  std::copy_n(half().begin(), nonce.size() - kMacBytes, nonce.begin() + kMacBytes);
  Mac cookie = cookie_for(mac, secrets.current, source);
  const wire::SealedReply reply = seal_reply(aead, wire::MessageType::kCookieReply,
                                             Secret<32>(secrets.label), cookie, answered, nonce);
  wipe(&cookie, sizeof cookie);
  return reply;
}

std::optional<std::array<uint8_t, 16>> open_reply(Aead& aead, const Secret<32>& key,
                                                  const Mac& mac1, const wire::SealedReply& reply) {
  return open_value(aead, key, mac1, reply);
}

wire::Readiness seal_readiness(Aead& aead, const Secret<32>& key, const wire::ReadinessValue& value,
                               const Answered& inquiry, std::span<const uint8_t, 24> nonce) {
  using Bytes = std::array<uint8_t, sizeof value>;
  return seal_value<wire::Readiness>(aead, wire::MessageType::kReadiness, key,
                                     std::bit_cast<Bytes>(value), inquiry, nonce);
}

std::optional<wire::ReadinessValue> open_readiness(Aead& aead, const Secret<32>& key,
                                                   const Mac& mac1,
                                                   const wire::Readiness& message) {
  const auto bytes = open_value(aead, key, mac1, message);
  if (!bytes) return std::nullopt;
  return std::bit_cast<wire::ReadinessValue>(*bytes);
}

}  // namespace jvpn
