// mac1, mac2 and cookies of the handshake: what a gateway checks before any public-key work.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/aead.h"
#include "common/ip.h"
#include "common/message_mac.h"
#include "common/wire.h"

namespace jvpn {

/// Keys that follow from a responder's static public key: mac1's, and the one that seals cookies.
struct ResponderMacKeys {
  MacKey mac1;
  Secret<32> cookie_label;
  static ResponderMacKeys derive(MessageMac& mac, const PublicKey& responder);
};

/// The responder's rotating cookie secrets; a cookie of the previous one is still taken.
struct CookieSecrets {
  MacKey current;
  MacKey previous;
  std::array<uint8_t, 32> label;  ///< ResponderMacKeys::cookie_label, which seals replies
};

/// What the MACs of a handshake message prove.
enum class MacVerdict : uint8_t {
  kBad,       ///< mac1 wrong: not meant for this responder
  kMac1,      ///< mac1 right, no valid cookie
  kVerified,  ///< mac2 proves that the source received our cookie
};

/// The cookie for one source address and port.
Mac cookie_for(MessageMac& mac, const MacKey& secret, const Endpoint& source);

/// Writes mac1, and mac2 when there is a cookie, into the last 32 bytes of `message`.
void write_macs(MessageMac& mac, const MacKey& mac1_key, const Mac* cookie,
                std::span<uint8_t> message);

/// Checks mac1 alone, when there are no cookie secrets yet. `message` ends with mac1 and mac2.
bool check_mac1(MessageMac& mac, const MacKey& mac1_key, std::span<const uint8_t> message);

/// Checks the MACs of an initiation or response; constant time in the MACs' values.
/// Any thread, with its own `mac`.
MacVerdict check_macs(MessageMac& mac, const MacKey& mac1_key, const CookieSecrets& secrets,
                      const Endpoint& source, std::span<const uint8_t> message);

/// The same in steps, for many messages. mac1 of `messages` under one key, beside each other, which
/// takes a fraction of the time: right[i] tells of messages[i], up to kMaxMacs of them. All end
/// with mac1 and mac2.
void check_mac1s(MessageMac& mac, const MacKey& mac1_key,
                 std::span<const std::span<const uint8_t>> messages, std::span<bool> right);
/// mac2 isn't zero: the sender means to have a cookie.
bool shows_cookie(std::span<const uint8_t> message);
/// mac2 proves that `source` received our cookie.
bool check_cookie(MessageMac& mac, const CookieSecrets& secrets, const Endpoint& source,
                  std::span<const uint8_t> message);

/// The message that a sealed reply answers.
struct Answered {
  uint32_t sender = 0;
  std::span<const uint8_t, 16> mac1;
};

/// What a cookie reply or retry says, under a key of its kind: ResponderMacKeys::cookie_label or
/// that of the handshake (protocol::retry_key()). `nonce` is fresh and random: it makes the key of
/// this one message.
wire::SealedReply seal_reply(Aead& aead, wire::MessageType type, const Secret<32>& key,
                             const std::array<uint8_t, 16>& value, const Answered& answered,
                             std::span<const uint8_t, 24> nonce);

/// Numbers a reply among all of a gateway under one secret: the nonce is made of it.
struct ReplyNumber {
  uint32_t worker = 0;
  uint64_t reply = 0;  ///< of that worker
};
/// The cookie reply for `source`, whose nonce is pseudorandom under the present secret. Allocates
/// nothing, makes no system call. Any thread, with its own `aead` and `mac`.
wire::SealedReply make_cookie_reply(Aead& aead, MessageMac& mac, const CookieSecrets& secrets,
                                    const Endpoint& source, const Answered& answered,
                                    const ReplyNumber& number);

/// The value in `reply`, when it answers our message whose mac1 was `mac1`.
std::optional<std::array<uint8_t, 16>> open_reply(Aead& aead, const Secret<32>& key,
                                                  const Mac& mac1, const wire::SealedReply& reply);

/// The same for a readiness, whose key is protocol::readiness_key().
wire::Readiness seal_readiness(Aead& aead, const Secret<32>& key, const wire::ReadinessValue& value,
                               const Answered& inquiry, std::span<const uint8_t, 24> nonce);
std::optional<wire::ReadinessValue> open_readiness(Aead& aead, const Secret<32>& key,
                                                   const Mac& mac1, const wire::Readiness& message);

}  // namespace jvpn
