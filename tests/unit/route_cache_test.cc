#include "dataplane/route_cache.h"

#include <array>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

using AddressV6 = std::array<uint8_t, 16>;

AddressV6 address_v6(uint32_t number) {
  AddressV6 address{0xFD};
  for (size_t i = 0; i < 4; ++i) address[12 + i] = static_cast<uint8_t>(number >> 8 * (3 - i));
  return address;
}

TEST(RouteCache, ForgetsButNeverErrs) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE(testing::Message() << "JVPN_SEED=" << seed);
  std::mt19937_64 random(seed);
  RouteCache cache(64);
  std::map<uint32_t, Target> v4;
  std::map<uint32_t, Target> v6;
  uint32_t generation = 1;
  size_t known = 0;
  for (int step = 0; step < 200'000; ++step) {
    const auto number = static_cast<uint32_t>(random() % 8'192);
    const AddressV6 address = address_v6(number);
    const Target* found_v4 = cache.find_v4(number, generation);
    const Target* found_v6 = cache.find_v6(address.data(), generation);
    if (found_v4 != nullptr) {
      ASSERT_EQ(*found_v4, v4.at(number));
    } else {
      cache.keep_v4(number, generation, v4[number] = Target::peer(PeerId{number + generation}));
    }
    if (found_v6 != nullptr) {
      ASSERT_EQ(*found_v6, v6.at(number));
    } else {
      cache.keep_v6(address.data(), generation,
                    v6[number] = Target::peer(PeerId{2 * number + generation}));
    }
    known += (found_v4 != nullptr) + (found_v6 != nullptr);
    if (random() % 50'000 == 0) ++generation;
  }
  EXPECT_GT(known, 0U);
}

TEST(RouteCache, KnowsNothingUnderAnotherGeneration) {
  RouteCache cache(1'000);
  cache.keep_v4(7, 1, Target::local(1));
  cache.keep_v6(address_v6(7).data(), 1, Target::local(1));
  EXPECT_NE(cache.find_v4(7, 1), nullptr);
  EXPECT_NE(cache.find_v6(address_v6(7).data(), 1), nullptr);
  EXPECT_EQ(cache.find_v4(7, 2), nullptr);
  EXPECT_EQ(cache.find_v6(address_v6(7).data(), 2), nullptr);
}

class PoolsOfAddresses : public testing::TestWithParam<uint32_t> {};

TEST_P(PoolsOfAddresses, AreRememberedWhateverTheirDistance) {
  constexpr uint32_t kPeers = 1'000;
  RouteCache cache(kPeers);
  size_t known_v4 = 0;
  size_t known_v6 = 0;
  for (int round = 0; round < 3; ++round) {
    known_v4 = known_v6 = 0;
    for (uint32_t i = 0; i < kPeers; ++i) {
      const uint32_t number = (10U << 24) + i * GetParam() + 7;
      const uint32_t address_be = __builtin_bswap32(number);
      const AddressV6 address = address_v6(number);
      if (cache.find_v4(address_be, 1) != nullptr)
        ++known_v4;
      else
        cache.keep_v4(address_be, 1, Target::peer(PeerId{i}));
      if (cache.find_v6(address.data(), 1) != nullptr)
        ++known_v6;
      else
        cache.keep_v6(address.data(), 1, Target::peer(PeerId{i}));
    }
  }
  EXPECT_GT(known_v4, kPeers * 8 / 10);
  EXPECT_GT(known_v6, kPeers * 8 / 10);
}

INSTANTIATE_TEST_SUITE_P(Distances, PoolsOfAddresses,
                         testing::Values(1, 2, 16, 64, 100, 256, 512, 1'024, 4'096, 65'536));

}  // namespace
}  // namespace jvpn
