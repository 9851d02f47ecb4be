// A rate that no network can use up alone: addresses and prefixes of several sizes have a share of
// it each. Bounded, whatever comes. Control thread only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/ip.h"
#include "common/message_mac.h"
#include "common/token_bucket.h"
#include "control/session/context.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

class NetworkShares {
 public:
  /// `per_second` for all networks together, 1 at least.
  NetworkShares(Context& context, uint32_t per_second, Millis now);
  ~NetworkShares();
  NetworkShares(const NetworkShares&) = delete;
  NetworkShares& operator=(const NetworkShares&) = delete;

  /// False: all together, or the source's network, have had their share.
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
  uint32_t rate_;
  TokenBucket all_;
  std::optional<MacKey> placing_;  ///< nobody knows which networks share a bucket; once needed
  std::array<std::vector<TokenBucket>, kLevels.size()> networks_;  ///< empty until one comes
};

}  // namespace jvpn::protocol
