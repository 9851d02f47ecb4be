// Somebody on the wire: remembers the tunnel's messages, replays them, and does to those that pass
// what its rules say. No I/O and no clock.
//
// Orders are texts of words. TO is the interface by which a frame leaves, KIND as parse_kind() has
// it.
//   record      remember what passes from now on; forgets what was before
//   replay      to=TO [kind=KIND] [count=N] [source=ADDRESS] [truncate=BYTES]: the last N
//               remembered, again
//   drop, delay, truncate, redirect, reverse
//               to=TO [kind=KIND] [count=N] and ms=, bytes=, source=, of=: a rule for N messages
//               (default: for all); the first that fits is applied. reverse: so many at a time
//               leave in reverse order
//   status      how many messages rules were applied to, how many rules stand
//   none        no rule any more; what a rule holds back leaves
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/result.h"
#include "lab/link/delay_queue.h"
#include "lab/link/jvp_frame.h"

namespace jvpn::lab {

class Attacker {
 public:
  /// A frame leaves by interface `to`, so much later than it would have.
  using Leave = std::function<void(size_t to, std::span<const uint8_t> frame, Nanos delay)>;

  /// `interfaces`: their names. `port`: the tunnel's.
  Attacker(std::array<std::string, 2> interfaces, uint16_t port)
      : interfaces_(std::move(interfaces)), port_(port) {}

  /// `frame` is about to leave by `to`.
  void pass(size_t to, std::span<const uint8_t> frame, const Leave& leave);

  /// Carries out an order; returns what there is to tell, like `replayed=12`, or what is wrong.
  Result<std::string> order(std::string_view text, const Leave& leave);

 private:
  enum class Action : uint8_t { kReplay, kDrop, kDelay, kTruncate, kRedirect, kReverse };
  struct Rule {
    Action action{};
    size_t to = 0;
    MessageKind kind = MessageKind::kAny;
    uint64_t count = 0;
    Nanos delay = 0;
    uint64_t bytes = 0;
    IpAddress source;
    uint64_t of = 0;
    std::vector<std::vector<uint8_t>> held;  ///< by kReverse
  };
  struct ActionName {
    const char* name;
    Action action;
  };
  static const std::array<ActionName, 6> kActions;

  Result<Rule> parse(Action action, std::string_view words) const;
  Result<void> set(Rule& rule, std::string_view name, std::string_view value) const;
  void remember(size_t to, const JvpFrame& at, std::span<const uint8_t> frame);
  void apply(Rule& rule, const JvpFrame& at, std::span<const uint8_t> frame, const Leave& leave);
  uint64_t replay(const Rule& rule, const Leave& leave) const;
  static std::vector<uint8_t> changed(const Rule& rule, const JvpFrame& at,
                                      std::span<const uint8_t> frame);
  static void let_go(Rule& rule, const Leave& leave);

  std::array<std::string, 2> interfaces_;
  uint16_t port_;
  bool records_ = false;
  /// Of each direction, data apart from the rest, which is rarer; the oldest are forgotten.
  std::array<std::array<std::deque<std::vector<uint8_t>>, 2>, 2> memory_;
  std::vector<Rule> rules_;
  uint64_t tampered_ = 0;
};

}  // namespace jvpn::lab
