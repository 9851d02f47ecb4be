#include "control/protocol/network_shares.h"

#include <algorithm>

#include "common/secret.h"

namespace jvpn::protocol {
namespace {

constexpr size_t kNetworkBuckets = size_t{1} << 11;  // of each level

}  // namespace

NetworkShares::NetworkShares(Context& context, uint32_t per_second, Millis now)
    : context_(context), rate_(std::max(per_second, 1U)), all_(rate_, now) {}

NetworkShares::~NetworkShares() {
  if (placing_) wipe(&*placing_, sizeof *placing_);
}

bool NetworkShares::take(Millis now, size_t level, const Prefix& network) {
  std::vector<TokenBucket>& buckets = networks_[level];
  if (buckets.empty()) {
    const uint32_t rate = std::max(rate_ / kLevels[level].share, 1U);
    buckets.assign(kNetworkBuckets, TokenBucket(rate, now));
  }
  if (!placing_) {
    Secret<16> key;
    context_.environment.random(key.span());
    context_.mac.expand(key.span(), placing_.emplace());
  }
  std::array<uint8_t, 2 + 16> input{static_cast<uint8_t>(network.address.family), network.length};
  std::ranges::copy(network.address.bytes, input.begin() + 2);
  const Mac mac = context_.mac.compute(*placing_, input);
  uint32_t place;
  __builtin_memcpy(&place, mac.data(), sizeof place);
  return buckets[place % kNetworkBuckets].take(now);
}

bool NetworkShares::admit(Millis now, const IpAddress& source) {
  for (size_t level = 0; level < kLevels.size(); ++level) {
    const uint8_t bits = source.is_v4() ? kLevels[level].v4_bits : kLevels[level].v6_bits;
    if (bits != 0 && !take(now, level, Prefix{source, bits}.network())) return false;
  }
  return all_.take(now);
}

}  // namespace jvpn::protocol
