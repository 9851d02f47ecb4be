// What followers of a gateway's routes read: quick ones, slow ones, and while it is silent.
#include "control/gateway/carried_routes.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {
namespace {

using Json = nlohmann::json;
using More = LineStream::More;

constexpr size_t kPeerRoom = 3'000;
constexpr size_t kPlenty = 65'536;

struct SteppedClock final : GatewayClock {
  uint64_t now_us() const override {
    us += us_per_look;
    return us;
  }
  Millis at_tsc(uint64_t) const override { return Millis{0}; }
  mutable uint64_t us = 1'000'000;
  uint64_t us_per_look = 0;
};

struct ManyPeers final : CarriedRoutes::Peers {
  bool carries(PeerId) const override { return true; }
  std::span<const Prefix> allowed(PeerId peer) const override { return prefixes[peer.value]; }
  std::string name(PeerId peer) const override { return "peer" + std::to_string(peer.value); }
  bool silent() const override { return is_silent; }
  std::vector<std::vector<Prefix>> prefixes{kPeerRoom};
  bool is_silent = false;
};

Prefix host(uint32_t number) {
  return {IpAddress::v4({10, 1, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)}),
          32};
}

class CarriedRoutesTest : public testing::Test {
 protected:
  CarriedRoutesTest() {
    for (uint32_t i = 0; i < kPeerRoom; ++i) peers_.prefixes[i] = {host(i)};
  }

  static std::vector<Json> lines_of(const std::string& text) {
    std::vector<Json> lines;
    for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      lines.push_back(Json::parse(text.substr(at, end - at)));
    return lines;
  }
  std::vector<Json> read(LineStream& stream, More expected = More::kLater, size_t most = kPlenty) {
    std::string text;
    limit_.begin();
    EXPECT_EQ(stream.read(text, most), expected);
    return lines_of(text);
  }
  static Json line(uint32_t peer, std::vector<std::string> routes) {
    return {{"peer", peer}, {"name", "peer" + std::to_string(peer)}, {"routes", std::move(routes)}};
  }

  SteppedClock clock_;
  TurnLimit limit_{clock_};
  ManyPeers peers_;
  CarriedRoutes routes_{clock_, limit_, peers_, kPeerRoom};
  const Json synced_{{"synced", true}};
};

using Lines = std::vector<Json>;

TEST_F(CarriedRoutesTest, WhatIsCarriedThenWhatChanges) {
  routes_.installed(PeerId{1});
  routes_.installed(PeerId{2});
  routes_.withdrawn(PeerId{2});
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream), (Lines{line(1, {"10.1.0.1/32"}), synced_}));
  EXPECT_EQ(read(*stream), Lines{});
  routes_.installed(PeerId{1});  // a rekey
  EXPECT_EQ(read(*stream), Lines{});
  routes_.installed(PeerId{7});
  routes_.withdrawn(PeerId{1});
  EXPECT_EQ(read(*stream), (Lines{line(7, {"10.1.0.7/32"}), line(1, {})}));
  peers_.prefixes[7] = {host(8), host(9)};
  routes_.routed(PeerId{7});
  routes_.routed(PeerId{1});  // isn't carried
  EXPECT_EQ(read(*stream), Lines{line(7, {"10.1.0.8/32", "10.1.0.9/32"})});
}

TEST_F(CarriedRoutesTest, WhoDoesNotFollowGetsTheEnd) {
  EXPECT_EQ(read(*routes_.open(false), More::kNoMore), Lines{synced_});
  routes_.installed(PeerId{3});
  EXPECT_EQ(read(*routes_.open(false), More::kNoMore), (Lines{line(3, {"10.1.0.3/32"}), synced_}));
}

TEST_F(CarriedRoutesTest, NothingNewIsSaidTwiceASecond) {
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream), Lines{synced_});
  clock_.us += 499'000;
  EXPECT_EQ(read(*stream), Lines{});
  clock_.us += 1'000;
  EXPECT_EQ(read(*stream), (Lines{Json{{"alive", true}}}));
  EXPECT_EQ(read(*stream), Lines{});
}

TEST_F(CarriedRoutesTest, ASilentGatewayCarriesNothingAndBeginsAnew) {
  routes_.installed(PeerId{1});
  routes_.installed(PeerId{2});
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream).size(), 3U);
  peers_.is_silent = true;
  EXPECT_EQ(read(*stream), (Lines{Json{{"silent", true}}}));
  routes_.withdrawn(PeerId{2});
  EXPECT_EQ(read(*stream), Lines{});
  clock_.us += 500'000;
  EXPECT_EQ(read(*stream), (Lines{Json{{"alive", true}}}));
  EXPECT_EQ(read(*routes_.open(false), More::kNoMore), (Lines{Json{{"silent", true}}}));
  peers_.is_silent = false;
  EXPECT_EQ(read(*stream), (Lines{line(1, {"10.1.0.1/32"}), synced_}));
}

TEST_F(CarriedRoutesTest, ManyPrefixesComeInParts) {
  for (uint32_t i = 0; i < 149; ++i) peers_.prefixes[5].push_back(host(1'000 + i));
  routes_.installed(PeerId{5});
  const auto lines = read(*routes_.open(true));
  ASSERT_EQ(lines.size(), 4U);
  std::set<std::string> all;
  for (const Json& each : lines)
    for (const Json& prefix : each.value("routes", Json::array())) all.insert(prefix);
  EXPECT_EQ(all.size(), 150U);
  EXPECT_EQ(lines[0]["more"], true);
  EXPECT_EQ(lines[1]["from"], 64);
  EXPECT_EQ(lines[2]["from"], 128);
  EXPECT_FALSE(lines[2].contains("more"));
  EXPECT_FALSE(lines[0].contains("from"));
}

TEST_F(CarriedRoutesTest, APeerThatChangesBetweenItsPartsComesAgain) {
  for (uint32_t i = 0; i < 70; ++i) peers_.prefixes[5].push_back(host(1'000 + i));
  routes_.installed(PeerId{5});
  routes_.installed(PeerId{6});
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream, More::kNow, 1).size(), 1U);
  routes_.withdrawn(PeerId{5});
  EXPECT_EQ(read(*stream), (Lines{line(6, {"10.1.0.6/32"}), line(5, {}), synced_}));
  routes_.installed(PeerId{5});
  const auto again = read(*stream);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_FALSE(again[0].contains("from"));
}

TEST_F(CarriedRoutesTest, WhatIsWithdrawnBeforeAllIsToldIsTold) {
  for (uint32_t i = 0; i < 3; ++i) routes_.installed(PeerId{i});
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream, More::kNow, 1), Lines{line(0, {"10.1.0.0/32"})});
  routes_.withdrawn(PeerId{0});
  routes_.withdrawn(PeerId{1});
  EXPECT_EQ(read(*stream), (Lines{line(2, {"10.1.0.2/32"}), line(0, {}), line(1, {}), synced_}));
}

TEST_F(CarriedRoutesTest, SilenceBetweenPartsBeginsWithTheFirst) {
  for (uint32_t i = 0; i < 70; ++i) peers_.prefixes[5].push_back(host(1'000 + i));
  routes_.installed(PeerId{5});
  const auto stream = routes_.open(true);
  EXPECT_EQ(read(*stream, More::kNow, 1).size(), 1U);
  peers_.is_silent = true;
  EXPECT_EQ(read(*stream).size(), 1U);
  peers_.is_silent = false;
  EXPECT_FALSE(read(*stream).at(0).contains("from"));
}

TEST_F(CarriedRoutesTest, ATurnThatIsOverTellsOnePeerMore) {
  for (uint32_t i = 0; i < 100; ++i) routes_.installed(PeerId{i});
  const auto stream = routes_.open(true);
  clock_.us_per_look = TurnLimit::kSpentUs;
  EXPECT_EQ(read(*stream, More::kNow).size(), 1U);
  EXPECT_EQ(read(*stream, More::kNow).size(), 1U);
  clock_.us_per_look = 0;
  EXPECT_EQ(read(*stream).size(), 99U);
}

/// However often what changes: the text that waits is bounded, and whoever reads it all has what
/// holds in the end.
TEST_F(CarriedRoutesTest, ASlowFollowerIsToldWhatHolds) {
  std::mt19937 random(static_cast<uint32_t>(run_seed()));
  constexpr size_t kMost = 2'000;
  std::map<uint32_t, bool> truth;
  for (uint32_t i = 0; i < kPeerRoom; ++i) {
    routes_.installed(PeerId{i});
    truth[i] = true;
  }
  const auto stream = routes_.open(true);
  std::map<uint32_t, bool> known;
  std::string waiting;
  size_t lines = 0;
  const auto take = [&] {
    for (const Json& each : lines_of(std::exchange(waiting, {}))) {
      ++lines;
      if (each.contains("peer")) known[each["peer"]] = !each["routes"].empty();
    }
  };
  for (size_t i = 0; i < 200'000; ++i) {
    const PeerId peer{static_cast<uint32_t>(random() % kPeerRoom)};
    const bool carried = random() % 2 == 0;
    carried ? routes_.installed(peer) : routes_.withdrawn(peer);
    truth[peer.value] = carried;
    if (i % 100 == 0) stream->read(waiting, kMost);
    ASSERT_LE(waiting.size(), kMost + 200) << "a line more at most";
    if (random() % 10'000 == 0) take();
  }
  take();
  lines = 0;
  for (More more = More::kNow; more == More::kNow; take()) more = stream->read(waiting, kMost);
  EXPECT_LE(lines, kPeerRoom + 1) << "each peer once, and that all is told";
  for (const auto& [peer, carried] : truth) EXPECT_EQ(known[peer], carried) << peer;
}

}  // namespace
}  // namespace jvpn::test
