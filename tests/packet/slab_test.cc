#include "control/publish/slab.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr size_t kPage = 4'096;

uintptr_t at(const void* memory) {
  return reinterpret_cast<uintptr_t>(memory);
}

class SlabSizes : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, SlabSizes,
                         testing::Values(1, 64, 65, 1'024, 1'152, 1'216, 2'112, 4'096, 4'097,
                                         300'000));

TEST_P(SlabSizes, objects_are_apart_zeroed_and_within_pages) {
  const size_t bytes = GetParam();
  Slab slab;
  std::vector<uint8_t*> objects;
  for (int n = 0; n < (bytes <= 2 * kPage ? 300 : 5); ++n) {
    auto* memory = static_cast<uint8_t*>(slab.allocate(bytes));
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(at(memory) % kCacheLine, 0U);
    if (bytes <= kPage) {
      EXPECT_EQ(at(memory) / kPage, at(memory + bytes - 1) / kPage);
    }
    EXPECT_TRUE(std::all_of(memory, memory + bytes, [](uint8_t b) { return b == 0; }));
    std::fill_n(memory, bytes, uint8_t{0xEE});
    objects.push_back(memory);
  }
  std::ranges::sort(objects);
  for (size_t i = 1; i < objects.size(); ++i) EXPECT_LE(objects[i - 1] + bytes, objects[i]);
  for (uint8_t* memory : objects) slab.release(memory, bytes);
  EXPECT_EQ(slab.in_use(), 0U);
}

TEST_P(SlabSizes, released_memory_is_wiped_and_used_again) {
  const size_t bytes = GetParam();
  Slab slab;
  auto* first = static_cast<uint8_t*>(slab.allocate(bytes));
  ASSERT_NE(first, nullptr);
  std::fill_n(first, bytes, uint8_t{0xEE});
  slab.release(first, bytes);
  auto* again = static_cast<uint8_t*>(slab.allocate(bytes));
  EXPECT_EQ(again, first);
  EXPECT_TRUE(std::all_of(again, again + bytes, [](uint8_t b) { return b == 0; }));
}

TEST(Slab, pages_begin_at_differing_lines) {
  constexpr size_t kThreeInAPage = 1'216;
  Slab slab;
  std::vector<size_t> places;
  for (int n = 0; n < 24; n += 3) {
    places.push_back(at(slab.allocate(kThreeInAPage)) % kPage);
    slab.allocate(kThreeInAPage);
    slab.allocate(kThreeInAPage);
  }
  std::ranges::sort(places);
  EXPECT_EQ(std::ranges::unique(places).size(), 0U);
}

}  // namespace
}  // namespace jvpn::test
