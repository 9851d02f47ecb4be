// Whether a worker is under load, and what each kind of handshake may then cost it and control.
// Worker core, one instance per worker; everything in it is bounded, whatever comes.
//
//   with a right cookie      to control: each once, and of one address no more than all together
//                            are admitted
//   without, not under load  to control, as many as it admits
//   without, under load      a cookie reply, at a rate that is small beside what a worker can do:
//                            most of it is for sources that call again; nothing reaches control
//
// Under load: in the last second more came without a cookie than control admits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <rte_cycles.h>

#include "common/control_filter.h"
#include "common/ip.h"
#include "common/limits.h"
#include "common/wire.h"
#include "dataplane/returning_sources.h"

namespace jvpn {

class HandshakeGuard {
 public:
  /// Of a worker: cookie replies, which cost it some 0.5 µs each, and what its port takes to send
  /// them. To sources that called lately, and to all others together.
  static constexpr uint32_t kReturningPerSecond = 60'000;
  static constexpr uint32_t kNewPerSecond = 20'000;
  /// Cookies that prove wrong, some 1.1 µs each.
  static constexpr uint32_t kWrongPerSecond = 100'000;

  /// `admitted_per_s`: by control, of this worker.
  explicit HandshakeGuard(uint32_t admitted_per_s)
      : admitted_(std::max(admitted_per_s, 1U)), salt_(rte_rdtsc()) {}

  /// One without a cookie. True: it may go to control.
  bool admits_unproven(uint64_t now_tsc) {
    const uint64_t cycles = hz_ / admitted_;
    if (unproven_.has(now_tsc, cycles, burst()))
      unproven_.take(now_tsc, cycles);
    else
      loaded_until_ = now_tsc + hz_;
    return now_tsc >= loaded_until_;
  }
  /// Whether one without a cookie from there is answered by one, and counts it.
  bool takes_reply(uint64_t now_tsc, const Endpoint& source) {
    const bool returns = sources_.note(now_tsc, hash_of(source));
    return (returns && take(returning_, now_tsc, kReturningPerSecond, kMaxBurst)) ||
           take(new_, now_tsc, kNewPerSecond, kMaxBurst);
  }
  /// Whether a cookie may be looked at. Who was answered by one lately has a share that wrong ones
  /// from invented addresses don't use up.
  bool may_look(uint64_t now_tsc, const Endpoint& source) {
    return wrong_.has(now_tsc, hz_ / kWrongPerSecond, kMaxBurst) ||
           (sources_.knows(hash_of(source)) &&
            take(known_, now_tsc, kReturningPerSecond, kMaxBurst));
  }
  void note_wrong(uint64_t now_tsc) { wrong_.take(now_tsc, hz_ / kWrongPerSecond); }
  /// A message with this mac2 was here before, and right: told before any MAC is computed.
  bool is_repeated(const uint8_t* mac2) const {
    const uint64_t mark = mark_of(mac2);
    return seen_[mark % seen_.size()] == mark;
  }
  /// Of one with a right cookie. Of very many the oldest may be forgotten.
  void remember(const uint8_t* mac2) {
    const uint64_t mark = mark_of(mac2);
    seen_[mark % seen_.size()] = mark;
  }
  /// Of one with a right cookie, from that address: it may go to control, and counts.
  bool admits_proven(uint64_t now_tsc, const IpAddress& source) {
    return take(addresses_[place_of(source)], now_tsc, admitted_, burst());
  }

 private:
  static uint64_t mark_of(const uint8_t* mac2) {
    uint64_t mark;
    __builtin_memcpy(&mark, mac2, sizeof mark);
    return mark | uint64_t{1} << 63;  // an empty place has 0
  }
  uint64_t burst() const { return admitted_ / 4 + kMaxBurst; }
  bool take(CycleBudget& budget, uint64_t now_tsc, uint32_t per_second, uint64_t burst) const {
    const uint64_t cycles = hz_ / per_second;
    if (!budget.has(now_tsc, cycles, burst)) return false;
    budget.take(now_tsc, cycles);
    return true;
  }
  static constexpr uint64_t mixed(uint64_t bits) {
    bits *= 0x9E37'79B9'7F4A'7C15;
    return bits ^ bits >> 32;
  }
  /// Of an IPv4 address, or an IPv6 /64.
  size_t place_of(const IpAddress& source) const {
    uint64_t bits = 0;
    __builtin_memcpy(&bits, source.bytes.data(), source.is_v6() ? 8 : 4);
    return mixed(bits ^ salt_) >> (64 - kPlaceBits);
  }
  uint64_t hash_of(const Endpoint& source) const {
    std::array<uint64_t, 2> halves;
    static_assert(sizeof halves == sizeof source.address.bytes);
    __builtin_memcpy(halves.data(), source.address.bytes.data(), sizeof halves);
    return mixed(mixed(mixed(halves[0] ^ salt_) ^ halves[1]) + source.port);
  }

  static constexpr unsigned kPlaceBits = 10;
  const uint64_t hz_ = rte_get_tsc_hz();
  const uint32_t admitted_;  ///< per second
  const uint64_t salt_;      ///< which addresses share a place nobody can tell
  uint64_t loaded_until_ = 0;
  CycleBudget unproven_;
  CycleBudget returning_;
  CycleBudget new_;
  ReturningSources sources_{2 * hz_};
  CycleBudget wrong_;
  CycleBudget known_;
  std::array<CycleBudget, size_t{1} << kPlaceBits> addresses_{};
  std::array<uint64_t, 16'384> seen_{};  ///< of mac2, which differs by source
};

}  // namespace jvpn
