#include "control/session/system_sources.h"

#include <algorithm>
#include <array>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace jvpn::session {
namespace {

using Id = std::array<uint8_t, kSmallRandomBytes>;

Id draw_id() {
  Id id{};
  fill_random(id);
  return id;
}

std::vector<Id> draw_ids(size_t count) {
  std::vector<Id> ids(count);
  std::ranges::generate(ids, draw_id);
  return ids;
}

bool share_one(std::vector<Id> some, std::vector<Id> others) {
  std::ranges::sort(some);
  std::ranges::sort(others);
  std::vector<Id> shared;
  std::ranges::set_intersection(some, others, std::back_inserter(shared));
  return !shared.empty();
}

/// What `make` has in a child of this process.
std::vector<Id> in_child(size_t count, std::vector<Id> (*make)(size_t)) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const std::vector<Id> ids = make(count);
    const size_t bytes = ids.size() * sizeof(Id);
    _exit(write(ends[1], ids.data(), bytes) == static_cast<ssize_t>(bytes) ? 0 : 1);
  }
  close(ends[1]);
  std::vector<Id> ids(count);
  size_t got = 0;
  for (ssize_t more = 1; more > 0; got += static_cast<size_t>(more))
    more = read(ends[0], reinterpret_cast<uint8_t*>(ids.data()) + got, count * sizeof(Id) - got);
  close(ends[0]);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(got, count * sizeof(Id));
  return ids;
}

TEST(FillRandom, FillsEverySizeWithWhatIsNew) {
  for (size_t size = 0; size <= 2 * kSmallRandomBytes; ++size) {
    std::vector<uint8_t> seen(size + 1);
    for (int round = 0; round < 64; ++round) {
      std::vector<uint8_t> bytes(size + 1);
      fill_random(std::span(bytes).first(size));
      ASSERT_EQ(bytes[size], 0) << "not beyond";
      for (size_t i = 0; i < size; ++i) seen[i] |= bytes[i];
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 1) << size;
  }
}

TEST(FillRandom, NothingIsHandedOutTwice) {
  const std::vector<Id> ids = draw_ids(10'000);
  EXPECT_EQ(std::set<Id>(ids.begin(), ids.end()).size(), ids.size());
}

TEST(FillRandom, ThreadsShareNothing) {
  const std::vector<Id> before = draw_ids(1);
  std::vector<Id> theirs;
  std::thread([&] { theirs = draw_ids(100); }).join();
  EXPECT_FALSE(share_one(draw_ids(100), theirs));
}

/// The parent has drawn more than it handed out when it forks.
TEST(FillRandom, AChildSharesNothingWithItsParent) {
  draw_id();
  const std::vector<Id> childs = in_child(100, draw_ids);
  EXPECT_FALSE(share_one(draw_ids(100), childs));
}

TEST(FillRandom, AChildOfAThreadSharesNothingWithIt) {
  std::thread([] {
    draw_id();
    const std::vector<Id> childs = in_child(100, draw_ids);
    EXPECT_FALSE(share_one(draw_ids(100), childs));
  }).join();
}

TEST(FillRandom, AChildsChildSharesNothingEither) {
  const auto grandchilds = [](size_t count) {
    draw_id();
    const std::vector<Id> below = in_child(count / 2, draw_ids);
    std::vector<Id> all = draw_ids(count / 2);
    all.insert(all.end(), below.begin(), below.end());
    return all;
  };
  draw_id();
  const std::vector<Id> all = in_child(100, grandchilds);
  EXPECT_EQ(std::set<Id>(all.begin(), all.end()).size(), all.size());
  EXPECT_FALSE(share_one(draw_ids(100), all));
}

}  // namespace
}  // namespace jvpn::session
