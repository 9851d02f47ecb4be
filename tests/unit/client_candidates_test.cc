// Which paths a session may take, and where an operator's jump leads.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tools/client/underlays/candidates.h"

namespace jvpn {
namespace {

const Endpoint kFirst = *Endpoint::parse("192.0.2.1:1");
const Endpoint kSecond = *Endpoint::parse("[2001:db8::1]:2");
const std::vector<GatewayEndpoint> kEndpoints{{kFirst, GatewayNumber{0}},
                                              {kSecond, GatewayNumber{0}}};

Path path_of(size_t underlay, const Endpoint& remote) {
  return {static_cast<uint16_t>(underlay), *Endpoint::parse("198.51.100.1:40000"), remote};
}

/// Three underlays: 0 reaches both endpoints, 1 the second alone, 2 none.
std::vector<Candidate> three_underlays() {
  return find_candidates(3, kEndpoints, [](size_t n, const Endpoint& remote) -> Result<Path> {
    if (n == 2) return Error{"wwan0 is down"};
    if (n == 1 && remote == kFirst) return Error{"no IPv4 on 1"};
    return path_of(n, remote);
  });
}

TEST(CandidatesTest, EveryEndpointOverEveryUnderlayInProfileOrder) {
  const auto candidates = three_underlays();
  ASSERT_EQ(candidates.size(), 6U);
  for (size_t i = 0; i < candidates.size(); ++i) {
    EXPECT_EQ(candidates[i].underlay, i % 3);
    EXPECT_EQ(candidates[i].remote, kEndpoints[i / 3].remote);
  }
  EXPECT_EQ(candidates[1].why, "no IPv4 on 1");
  const std::vector<Path> expected{path_of(0, kFirst), path_of(0, kSecond), path_of(1, kSecond)};
  EXPECT_EQ(reachable(candidates), expected);
}

TEST(CandidatesTest, StatesAreThoseOfShow) {
  const auto candidates = three_underlays();
  std::optional<Path> active = path_of(0, kFirst);
  active->local.port = 1;  // its local end has changed since
  const std::vector<std::string> expected{"active",    "down",      "down",
                                          "candidate", "candidate", "down"};
  for (size_t i = 0; i < candidates.size(); ++i)
    EXPECT_EQ(state_of(candidates[i], active), expected[i]) << i;
  EXPECT_STREQ(state_of(candidates[0], std::nullopt), "candidate");
}

TEST(CandidatesTest, JumpKeepsTheEndpointIfItCan) {
  const auto candidates = three_underlays();
  const auto to_second = jump_target(candidates, 0, path_of(1, kSecond));
  ASSERT_TRUE(to_second);
  EXPECT_EQ(*to_second, path_of(0, kSecond));
  const auto other_endpoint = jump_target(candidates, 1, path_of(0, kFirst));
  ASSERT_TRUE(other_endpoint);
  EXPECT_EQ(*other_endpoint, path_of(1, kSecond));
}

TEST(CandidatesTest, NoJumpLeadsToAnotherGateway) {
  const std::vector<GatewayEndpoint> two{{kFirst, GatewayNumber{0}}, {kSecond, GatewayNumber{1}}};
  const auto candidates = find_candidates(2, two, [](size_t n, const Endpoint& remote) {
    if (n == 1 && remote == kFirst) return Result<Path>(Error{"no IPv4 on 1"});
    return Result<Path>(path_of(n, remote));
  });
  EXPECT_EQ(candidates[1].gateway, GatewayNumber{0});
  EXPECT_EQ(candidates[2].gateway, GatewayNumber{1});
  const auto refused = jump_target(candidates, 1, path_of(0, kFirst));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "no IPv4 on 1");
  const auto within = jump_target(candidates, 1, path_of(0, kSecond));
  ASSERT_TRUE(within);
  EXPECT_EQ(*within, path_of(1, kSecond));
}

TEST(CandidatesTest, NowhereToJumpIsSaid) {
  const auto candidates = three_underlays();
  const auto down = jump_target(candidates, 2, path_of(0, kFirst));
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().message, "wwan0 is down");
  EXPECT_FALSE(jump_target(candidates, 0, path_of(0, kSecond)));
  EXPECT_FALSE(jump_target(candidates, 7, path_of(0, kFirst)));
  EXPECT_FALSE(jump_target(candidates, 1, std::nullopt));
}

}  // namespace
}  // namespace jvpn
