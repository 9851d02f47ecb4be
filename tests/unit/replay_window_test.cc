#include "common/replay_window.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include "tests/support/seed.h"

namespace jvpn {
namespace {

constexpr uint64_t kReach = 8191;  // furthest behind the highest that is still in the window
using Window = ReplayWindow<kReach + 1>;

static_assert(std::is_trivially_copyable_v<Window>);

constexpr auto kFresh = ReplayVerdict::kFresh;
constexpr auto kDuplicate = ReplayVerdict::kDuplicate;
constexpr auto kTooOld = ReplayVerdict::kTooOld;
constexpr uint64_t kMax = UINT64_MAX;

struct Step {
  int number;
  uint64_t sequence;
  ReplayVerdict verdict;
};

// In the manner of WireGuard's selftest/counter.c; the steps follow each other on one window.
constexpr Step kSteps[] = {
    {1, 0, kFresh},
    {2, 0, kDuplicate},
    {3, 1, kFresh},
    {4, 1, kDuplicate},
    {5, 9, kFresh},
    {6, 8, kFresh},
    {7, 7, kFresh},
    {8, 7, kDuplicate},
    {9, 64, kFresh},
    {10, 63, kFresh},
    {11, 64, kDuplicate},
    {12, kReach, kFresh},
    {13, 2, kFresh},      // an edge: 8190 behind
    {14, 0, kDuplicate},  // exactly the window behind
    {15, kReach + 1, kFresh},
    {16, 0, kTooOld},  // the window and one behind
    {17, 1, kDuplicate},
    {18, 3, kFresh},
    {19, kReach + 63, kFresh},
    {20, 62, kTooOld},
    {21, 63, kDuplicate},
    {22, 65, kFresh},
    {23, kReach + 64, kFresh},  // a new word: the oldest one is cleared
    {24, 63, kTooOld},
    {25, 64, kDuplicate},
    {26, 66, kFresh},
    {27, 3 * kReach, kFresh},  // a jump over the whole ring
    {28, 3 * kReach, kDuplicate},
    {29, 2 * kReach - 1, kTooOld},
    {30, 2 * kReach, kFresh},
    {31, 2 * kReach, kDuplicate},
    {32, 2 * kReach + 64, kFresh},
    {33, 3 * kReach - 1, kFresh},
    {34, 100 * kReach + 17, kFresh},
    {35, 99 * kReach + 17, kFresh},
    {36, 99 * kReach + 16, kTooOld},
    {37, uint64_t{1} << 47, kFresh},
    {38, (uint64_t{1} << 48) - 1, kFresh},
    {39, (uint64_t{1} << 48) - 1 - kReach, kFresh},
    {40, (uint64_t{1} << 48) - 2 - kReach, kTooOld},
    {41, 0, kTooOld},
    {42, kMax - 1, kFresh},
    {43, kMax, kFresh},
    {44, kMax, kDuplicate},
    {45, kMax - 1, kDuplicate},
    {46, kMax - kReach, kFresh},
    {47, kMax - kReach - 1, kTooOld},
    {48, 0, kTooOld},
};

TEST(ReplayWindow, Edges) {
  Window window;
  for (const Step& step : kSteps) {
    EXPECT_EQ(window.check(step.sequence), step.verdict) << "check, step " << step.number;
    EXPECT_EQ(window.accept(step.sequence), step.verdict) << "accept, step " << step.number;
  }
}

TEST(ReplayWindow, WholeWindowBackwards) {
  Window window;
  for (uint64_t sequence = kReach + 1; sequence-- > 0;)
    ASSERT_EQ(window.accept(sequence), kFresh) << sequence;
  for (uint64_t sequence = 0; sequence <= kReach; ++sequence)
    ASSERT_EQ(window.accept(sequence), kDuplicate) << sequence;
}

TEST(ReplayWindow, FirstNumberMayBeLarge) {
  Window window;
  EXPECT_EQ(window.accept(1'000'000), kFresh);
  EXPECT_EQ(window.accept(1'000'000 - kReach), kFresh);
  EXPECT_EQ(window.accept(0), kTooOld);
  EXPECT_EQ(window.highest(), 1'000'000U);
}

/// Remembers everything.
class Model {
 public:
  ReplayVerdict accept(uint64_t sequence) {
    if (!seen_.empty() && sequence < *seen_.rbegin() && *seen_.rbegin() - sequence > kReach)
      return kTooOld;
    return seen_.insert(sequence).second ? kFresh : kDuplicate;
  }

 private:
  std::set<uint64_t> seen_;
};

uint64_t next_sequence(std::mt19937_64& random, uint64_t highest) {
  const uint64_t back = random() % (kReach + kReach / 8);
  switch (random() % 16) {
    case 0:
      return highest + random() % (3 * kReach);
    case 1:
      return highest + 60 + random() % 10;
    case 2:
      return highest - std::min(highest, kReach - 1 + random() % 3);
    case 3:
    case 4:
    case 5:
    case 6:
      return highest + 1;
    case 7:
      return highest - std::min(highest, random() % 4);
    default:
      return highest - std::min(highest, back);
  }
}

TEST(ReplayWindow, AgreesWithModel) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("replay with JVPN_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Window window;
  Model model;
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t sequence = next_sequence(random, window.highest());
    const ReplayVerdict checked = window.check(sequence);
    const ReplayVerdict expected = model.accept(sequence);
    ASSERT_EQ(checked, expected) << "check " << sequence << ", step " << i;
    ASSERT_EQ(window.accept(sequence), expected) << "accept " << sequence << ", step " << i;
  }
}

}  // namespace
}  // namespace jvpn
