#include "control/session/system_sources.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/secret.h"

namespace jvpn::session {
namespace {

/// TAI64's label of the Unix epoch: 2^62, and the 10 leap seconds of 1970.
constexpr uint64_t kTaiOfUnixEpoch = (uint64_t{1} << 62) + 10;

timespec read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now;
}

void draw(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    JVPN_ASSERT(got > 0 || errno == EINTR, "without random bytes keys could be guessed");
    if (got > 0) bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

/// Random bytes ahead of need: a system call for each index would cost more than all else of it.
class SmallRandom {
 public:
  SmallRandom();
  ~SmallRandom() { forget(); }
  SmallRandom(const SmallRandom&) = delete;
  SmallRandom& operator=(const SmallRandom&) = delete;

  void take(std::span<uint8_t> bytes) {
    if (bytes.size() > left_) {
      draw(block_);
      left_ = block_.size();
    }
    left_ -= bytes.size();
    uint8_t* const from = block_.data() + left_;
    std::copy_n(from, bytes.size(), bytes.begin());
    wipe(from, bytes.size());
  }
  void forget() {
    wipe(block_.data(), block_.size());
    left_ = 0;
  }

 private:
  std::array<uint8_t, 512> block_{};
  size_t left_ = 0;  ///< at the beginning of the block; the rest was handed out
};

thread_local SmallRandom small_random;

/// A child has one thread, that which called fork(), and a copy of its block: both would hand out
/// the same bytes. Before main(), when no other thread can fork meanwhile.
const bool forgotten_in_children =
    ::pthread_atfork(nullptr, nullptr, [] { small_random.forget(); }) == 0;

SmallRandom::SmallRandom() {
  JVPN_ASSERT(forgotten_in_children, "a child would repeat its parent's bytes");
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
  if (bytes.size() > kSmallRandomBytes) return draw(bytes);
  small_random.take(bytes);
}

}  // namespace jvpn::session
