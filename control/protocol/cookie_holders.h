// Sources that have shown a cookie: a rate of their own, kept for them when handshakes come faster
// than they are admitted. One holder can't use it up: an initiation counts once, however often it
// comes, and each network has a share. Bounded, whatever comes. Control thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "common/wire.h"
#include "control/protocol/network_shares.h"

namespace jvpn::protocol {

class CookieHolders {
 public:
  CookieHolders(Context& context, uint32_t per_second, Millis now)
      : shares_(context, per_second, now) {}

  /// The same initiation from the same source was here before; it is remembered. Of very many
  /// different ones the oldest may be forgotten.
  bool repeats(const wire::Initiation& message);
  /// False: all holders together, or the source's network, have had their share.
  bool admit(Millis now, const IpAddress& source) { return shares_.admit(now, source); }

 private:
  NetworkShares shares_;
  std::vector<uint64_t> seen_;  ///< of mac2, which differs by source; empty until one comes
};

}  // namespace jvpn::protocol
