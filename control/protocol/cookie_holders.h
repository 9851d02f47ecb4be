// Sources that have shown a cookie: a rate of their own, kept for them when handshakes come faster
// than they are admitted. One holder can't use it up: an initiation counts once, however often it
// comes, and each network has a share. Bounded, whatever comes. Control thread only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/ip.h"
#include "common/message_mac.h"
#include "common/token_bucket.h"
#include "common/wire.h"
#include "control/session/context.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

class CookieHolders {
 public:
  CookieHolders(Context& context, Millis now);
  ~CookieHolders();
  CookieHolders(const CookieHolders&) = delete;
  CookieHolders& operator=(const CookieHolders&) = delete;

  /// The same initiation from the same source was here before; it is remembered. Of very many
  /// different ones the oldest may be forgotten.
  bool repeats(const wire::Initiation& message);
  /// False: all holders together, or the source's network, have had their share.
  bool admit(Millis now, const IpAddress& source);

 private:
  /// Networks of one size. Those that share a bucket by chance share its rate.
  struct Level {
    uint32_t share;   ///< a network may take 1/share of the rate
    uint8_t v4_bits;  ///< of its prefix; 0: none of this size
    uint8_t v6_bits;
  };
  static constexpr std::array kLevels{Level{32, 32, 64}, Level{16, 0, 56}, Level{8, 24, 48}};

  bool take(Millis now, size_t level, const Prefix& network);

  Context& context_;
  TokenBucket all_;
  std::optional<MacKey> placing_;  ///< nobody knows which networks share a bucket; once needed
  std::vector<uint64_t> seen_;     ///< of mac2, which differs by source; empty until one comes
  std::array<std::vector<TokenBucket>, kLevels.size()> networks_;  ///< the same
};

}  // namespace jvpn::protocol
