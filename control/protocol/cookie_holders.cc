#include "control/protocol/cookie_holders.h"

#include <algorithm>
#include <utility>

#include "common/secret.h"

namespace jvpn::protocol {
namespace {

constexpr size_t kRemembered = size_t{1} << 16;      // initiations
constexpr size_t kNetworkBuckets = size_t{1} << 11;  // of each level

}  // namespace

CookieHolders::CookieHolders(Context& context, Millis now)
    : context_(context), all_(std::max(context.config.handshakes_per_s, 1U), now) {}

CookieHolders::~CookieHolders() {
  if (placing_) wipe(&*placing_, sizeof *placing_);
}

bool CookieHolders::repeats(const wire::Initiation& message) {
  if (seen_.empty()) seen_.resize(kRemembered);
  uint64_t mark;
  __builtin_memcpy(&mark, message.mac2, sizeof mark);
  mark |= uint64_t{1} << 63;  // an empty place has 0
  uint64_t& place = seen_[mark % kRemembered];
  return std::exchange(place, mark) == mark;
}

bool CookieHolders::take(Millis now, size_t level, const Prefix& network) {
  std::vector<TokenBucket>& buckets = networks_[level];
  if (buckets.empty()) {
    const uint32_t rate = std::max(context_.config.handshakes_per_s / kLevels[level].share, 1U);
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

bool CookieHolders::admit(Millis now, const IpAddress& source) {
  for (size_t level = 0; level < kLevels.size(); ++level) {
    const uint8_t bits = source.is_v4() ? kLevels[level].v4_bits : kLevels[level].v6_bits;
    if (bits != 0 && !take(now, level, Prefix{source, bits}.network())) return false;
  }
  return all_.take(now);
}

}  // namespace jvpn::protocol
