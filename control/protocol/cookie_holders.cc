#include "control/protocol/cookie_holders.h"

#include <utility>

namespace jvpn::protocol {
namespace {

constexpr size_t kRemembered = size_t{1} << 16;  // initiations

}  // namespace

bool CookieHolders::repeats(const wire::Initiation& message) {
  if (seen_.empty()) seen_.resize(kRemembered);
  uint64_t mark;
  __builtin_memcpy(&mark, message.mac2, sizeof mark);
  mark |= uint64_t{1} << 63;  // an empty place has 0
  uint64_t& place = seen_[mark % kRemembered];
  return std::exchange(place, mark) == mark;
}

}  // namespace jvpn::protocol
