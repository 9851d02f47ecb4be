#include "control/session/system_sources.h"

#include <cerrno>

#include <sys/random.h>
#include <time.h>

#include "common/assert.h"
#include "common/bytes.h"

namespace jvpn::session {
namespace {

/// TAI64's label of the Unix epoch: 2^62, and the 10 leap seconds of 1970.
constexpr uint64_t kTaiOfUnixEpoch = (uint64_t{1} << 62) + 10;

timespec read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now;
}

}  // namespace

uint64_t boottime_us() {
  const timespec now = read_clock(CLOCK_BOOTTIME);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}

Millis boottime_now() {
  return Millis{boottime_us() / 1'000};
}

uint64_t realtime_ms() {
  const timespec now = read_clock(CLOCK_REALTIME);
  return static_cast<uint64_t>(now.tv_sec) * 1'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

wire::Timestamp tai64n_now() {
  const timespec now = read_clock(CLOCK_REALTIME);
  wire::Timestamp label;
  store_be64(label.data(), kTaiOfUnixEpoch + static_cast<uint64_t>(now.tv_sec));
  store_be32(label.data() + 8, static_cast<uint32_t>(now.tv_nsec));
  return label;
}

void fill_random(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    JVPN_ASSERT(got > 0 || errno == EINTR, "without random bytes keys could be guessed");
    if (got > 0) bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

}  // namespace jvpn::session
