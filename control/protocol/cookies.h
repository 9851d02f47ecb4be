// MACs and cookies of handshake messages, as this end judges them (docs/PROTOCOL.md, cookies): a
// source that shows none gets one, once handshakes come faster than they are admitted.
// Control thread only.
#pragma once

#include <optional>
#include <span>

#include "common/handshake_mac.h"
#include "control/session/context.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

class Cookies {
 public:
  Cookies(Context& context, const PublicKey& own_key, Millis now);
  ~Cookies();
  Cookies(const Cookies&) = delete;
  Cookies& operator=(const Cookies&) = delete;

  /// What a worker has found already, or else what is found now.
  MacVerdict check(const Path& from, std::span<const uint8_t> datagram,
                   std::optional<MacVerdict> known);
  /// Answers an initiation without any public-key work; shorter than what it answers.
  void send_reply(Millis now, const Path& to, const wire::Initiation& message);
  /// The same with a retry, whose key and value the acceptor knows.
  void send_sealed(const Path& to, wire::MessageType type, const Secret<32>& key,
                   const std::array<uint8_t, 16>& value, const wire::Initiation& message);
  /// What workers have done in our place since the last call.
  void note_use(Millis now, const CookieUse& used);
  /// The cookie of that source. Whoever gets it is told under encryption.
  Mac issue(Millis now, const Path& to);
  /// Draws a new secret when the present one is used up.
  void serve(Millis now);
  Millis due() const { return rotate_at_; }

  const ResponderMacKeys& mac_keys() const { return own_macs_; }
  const CookieSecrets& secrets() const { return secrets_; }
  /// Rises with each new secret.
  uint64_t generation() const { return generation_; }

 private:
  void rotate(Millis now);
  void note_issued(Millis now);

  Context& context_;
  ResponderMacKeys own_macs_;
  CookieSecrets secrets_{};
  uint64_t generation_ = 1;
  Millis rotate_at_ = kNever;  ///< secrets last as long as a cookie made from them may be in use
  unsigned rotations_left_ = 0;
};

}  // namespace jvpn::protocol
