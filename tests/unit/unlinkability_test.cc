// Somebody sees many sessions on one path, and the same sessions later on another: by what stands
// in the clear he joins them no better than by chance. Shown over every way of comparing two sights
// that the fields allow, and shown to find what counters without their masks would tell.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/index_allocator.h"
#include "tests/support/jumper.h"
#include "tests/support/seed.h"

namespace jvpn::session {
namespace {

constexpr size_t kSessions = 64;
constexpr size_t kJumps = 30;  ///< before the sights: fewer than so many
/// Of so many guesses one is right on average; 12 or more are in 1 of 10^9 runs (Poisson).
constexpr size_t kMostByChance = 11;

/// The clear fields of the first message of a kind that a session shows on a path, one way.
struct Sight {
  uint32_t index = 0;
  uint64_t counter = 0;
  uint64_t unmasked = 0;  ///< for what would be seen without masks
  size_t rank = 0;        ///< of the index among all that are seen on that path
};

using Distance = std::function<uint64_t(const Sight& first, const Sight& second)>;

struct Guess {
  const char* by;
  Distance distance;
};

uint64_t apart(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

const Guess kGuesses[] = {
    {"nearest lane",
     [](const Sight& a, const Sight& b) {
       return apart(wire::lane_of(a.counter).value, wire::lane_of(b.counter).value);
     }},
    {"next lane",
     [](const Sight& a, const Sight& b) {
       return apart(wire::lane_of(a.counter).value + 1U, wire::lane_of(b.counter).value);
     }},
    {"nearest sequence",
     [](const Sight& a, const Sight& b) {
       return apart(wire::sequence_of(a.counter), wire::sequence_of(b.counter));
     }},
    {"bits of the counter",
     [](const Sight& a, const Sight& b) {
       return static_cast<uint64_t>(std::popcount(a.counter ^ b.counter));
     }},
    {"nearest index", [](const Sight& a, const Sight& b) { return apart(a.index, b.index); }},
    {"bits of the index",
     [](const Sight& a, const Sight& b) {
       return static_cast<uint64_t>(std::popcount(a.index ^ b.index));
     }},
    {"nearest slot",
     [](const Sight& a, const Sight& b) { return apart(a.index & 0xFF, b.index & 0xFF); }},
    {"index and counter",
     [](const Sight& a, const Sight& b) {
       return static_cast<uint64_t>(
           std::popcount(uint64_t{a.index} ^ a.counter ^ uint64_t{b.index} ^ b.counter));
     }},
    {"order of the indices", [](const Sight& a, const Sight& b) { return apart(a.rank, b.rank); }},
};

/// For each first sight the nearest second one, of equally near ones any: how many are right.
size_t right_guesses(const std::vector<Sight>& first, const std::vector<Sight>& second,
                     const Distance& distance, test::Random& random) {
  size_t right = 0;
  for (size_t session = 0; session < first.size(); ++session) {
    uint64_t least = UINT64_MAX;
    std::vector<size_t> nearest;
    for (size_t other = 0; other < second.size(); ++other) {
      const uint64_t here = distance(first[session], second[other]);
      if (here < least) nearest.clear();
      least = std::min(least, here);
      if (here == least) nearest.push_back(other);
    }
    right += nearest[random.below(nearest.size())] == session;
  }
  return right;
}

void rank(std::vector<Sight>& sights) {
  for (Sight& each : sights)
    each.rank = static_cast<size_t>(std::ranges::count_if(
        sights, [&](const Sight& other) { return other.index < each.index; }));
}

void expect_chance(std::vector<Sight>& before, std::vector<Sight>& after, test::Random& random) {
  rank(before);
  rank(after);
  for (const Guess& guess : kGuesses)
    EXPECT_LE(right_guesses(before, after, guess.distance, random), kMostByChance) << guess.by;
}

/// What both directions show of a session on the path before its latest jump, and after it.
struct Shown {
  Sight before[2];
  Sight after[2];
};

Sight sight_of(test::Jumper& world, size_t from) {
  const TxInstall install = world.node(from).tx.at(test::kPeer.value);
  world.node(from).send_data(test::kPeer);
  const test::Bytes& bytes = world.sent.back().bytes;
  wire::TransportHeader header;
  __builtin_memcpy(&header, bytes.data(), sizeof header);
  return {header.receiver, header.counter, header.counter ^ install.data_mask};
}

/// A session that has jumped some times already, as sessions have.
Shown watch(uint64_t seed, size_t jumps) {
  test::Jumper world(seed, [](size_t, EngineConfig& config) {
    config.policy.switching.max_switches_per_min = kMaxSwitchesPerMin;
    config.policy.switching.switch_cooldown = Millis{0};
  });
  const auto jump = [&](size_t number) {
    world.jump(number % 3);
    world.run_with_data(Millis{2'500}, 50);
    world.expect_on(number % 3);
  };
  for (size_t number = 1; number <= jumps; ++number) jump(number);
  Shown shown;
  for (const size_t from : {size_t{0}, size_t{1}}) shown.before[from] = sight_of(world, from);
  jump(jumps + 1);
  for (const size_t from : {size_t{0}, size_t{1}}) shown.after[from] = sight_of(world, from);
  return shown;
}

TEST(Unlinkability, TwoPathsTellNothingOfEachOther) {
  const uint64_t seed = test::run_seed();
  test::Random random(seed);
  std::vector<Shown> sessions;
  for (size_t i = 0; i < kSessions; ++i) sessions.push_back(watch(seed + i, random.below(kJumps)));
  for (const size_t from : {size_t{0}, size_t{1}}) {
    std::vector<Sight> before;
    std::vector<Sight> after;
    for (size_t i = 0; i < kSessions; ++i) {
      before.push_back(sessions[i].before[from]);
      after.push_back(sessions[i].after[from]);
    }
    expect_chance(before, after, random);
    size_t found = 0;
    for (auto* each : {&before, &after})
      for (Sight& sight : *each) sight.counter = sight.unmasked;
    for (const Guess& guess : kGuesses)
      found = std::max(found, right_guesses(before, after, guess.distance, random));
    EXPECT_GT(found, kMostByChance) << "the masks hide nothing, or the guesses are poor";
  }
}

/// A gateway's indices of many sessions come from one table.
TEST(Unlinkability, IndicesOfOneTableTellNothingOfEachOther) {
  test::Random random(test::run_seed());
  IndexAllocator table(12);
  std::vector<Sight> before(kSessions);
  std::vector<Sight> after(kSessions);
  for (std::vector<Sight>* each : {&before, &after}) {
    for (uint32_t peer = 0; peer < kSessions; ++peer) {
      const auto index = table.allocate(PeerId{peer}, static_cast<uint32_t>(random.next()));
      ASSERT_TRUE(index);
      (*each)[peer].index = index->value;
    }
  }
  expect_chance(before, after, random);
}

}  // namespace
}  // namespace jvpn::session
