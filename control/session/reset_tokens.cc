#include "control/session/reset_tokens.h"

#include <array>
#include <string>
#include <string_view>

#include "common/blake2s.h"
#include "common/limits.h"

namespace jvpn::session {
namespace {

constexpr unsigned kPeriodShift = 8;  // of seconds
static_assert((1'000U << kPeriodShift) > kKeyRefuseAfterMs, "no index outlives the next period");

}  // namespace

uint64_t reset_period(const wire::Timestamp& at) {
  uint64_t seconds;
  __builtin_memcpy(&seconds, at.data(), sizeof seconds);
  return __builtin_bswap64(seconds) >> kPeriodShift;
}

ResetTokens::ResetTokens(MessageMac& mac, const SecretKey& private_key, std::string_view node)
    : mac_(mac) {
  const std::string label = "JVP/1 reset" + std::string(node);
  const Secret<kHashBytes> key = hkdf_label(
      private_key.span(), {reinterpret_cast<const uint8_t*>(label.data()), label.size()});
  mac_.expand(key.span().first<16>(), key_);
}

wire::ResetToken ResetTokens::of(ReceiverIndex index, uint64_t period) const {
  std::array<uint8_t, sizeof index.value + sizeof period> input;
  __builtin_memcpy(input.data(), &index.value, sizeof index.value);
  __builtin_memcpy(input.data() + sizeof index.value, &period, sizeof period);
  return mac_.compute(key_, input);
}

}  // namespace jvpn::session
