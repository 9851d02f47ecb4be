// How many connections each network has. Bounded by the number of connections.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "common/ip.h"
#include "common/types.h"

namespace jvpn::fallback {

/// The /24 or /48 of an address.
inline Prefix network_of(const IpAddress& address) {
  Prefix network{address, static_cast<uint8_t>(address.is_v4() ? 24 : 48)};
  std::fill(network.address.bytes.begin() + network.length / 8, network.address.bytes.end(),
            uint8_t{0});
  return network;
}

/// One thread.
class NetworkQuota {
 public:
  explicit NetworkQuota(uint32_t most) : most_(most) {}

  /// One more of that network's; false: it has all that it may have.
  bool take(const Prefix& network) {
    uint32_t& count = counts_[network];
    if (count >= most_) return false;
    ++count;
    return true;
  }
  /// One that was taken is gone.
  void give_back(const Prefix& network) {
    const auto found = counts_.find(network);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  size_t networks() const { return counts_.size(); }

 private:
  uint32_t most_;
  std::map<Prefix, uint32_t> counts_;  ///< none is 0
};

/// How many connections may begin in a second, each of which costs a signature. One thread.
class AcceptRate {
 public:
  static constexpr Millis kSpan{1'000};
  static constexpr uint32_t kMost = 256;  ///< in all
  static constexpr uint32_t kMostOfNetwork = 32;

  bool take(Millis now, const Prefix& network) {
    if (now >= until_) {
      until_ = now + kSpan;
      all_ = 0;
      counts_.clear();
    }
    if (all_ == kMost) return false;
    uint32_t& count = counts_[network];
    if (count == kMostOfNetwork) return false;
    ++count;
    ++all_;
    return true;
  }

 private:
  Millis until_;
  uint32_t all_ = 0;
  std::map<Prefix, uint32_t> counts_;  ///< kMost networks at most
};

}  // namespace jvpn::fallback
