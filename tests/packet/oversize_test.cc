// Packets that are larger than a peer's path are work for control: so many of each peer, no more.
#include <gtest/gtest.h>

#include "dataplane/oversize_limit.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kTicks = 1'000'000;  // a second has

uint64_t taken(OversizeLimit& limit, uint32_t peer, uint64_t now, uint64_t of = 10'000) {
  uint64_t n = 0;
  for (uint64_t i = 0; i < of; ++i) n += limit.take(PeerId{peer}, now) ? 1U : 0U;
  return n;
}

TEST(OversizeLimit, GivesEachPeerItsShareAndNoMore) {
  OversizeLimit limit(2, kTicks);
  EXPECT_EQ(taken(limit, 0, kTicks), OversizeLimit::kAtOnce);
  EXPECT_EQ(taken(limit, 1, kTicks), OversizeLimit::kAtOnce) << "of its own";
  EXPECT_EQ(taken(limit, 0, kTicks + kTicks / OversizeLimit::kPerSecond), 1U);
  EXPECT_EQ(taken(limit, 0, 100 * kTicks), OversizeLimit::kAtOnce) << "silence saves up no more";
  uint64_t in_a_second = 0;
  for (uint64_t now = 200 * kTicks; now < 201 * kTicks; now += 10)
    in_a_second += limit.take(PeerId{0}, now) ? 1U : 0U;
  EXPECT_EQ(in_a_second, OversizeLimit::kPerSecond + OversizeLimit::kAtOnce - 1);
}

TEST(OversizeLimit, ManyPeersShare) {
  OversizeLimit limit(1U << 20, kTicks);
  EXPECT_EQ(taken(limit, 7, 0), OversizeLimit::kAtOnce);
  EXPECT_EQ(taken(limit, 7 + OversizeLimit::kShares, 0), 0U);
  EXPECT_EQ(taken(limit, 8, 0), OversizeLimit::kAtOnce);
}

TEST(OversizeLimit, OnePeerLeavesControlToTheOthers) {
  Lab lab;
  const TestSession greedy(lab, {.peer = PeerId{1}, .inner_mtu = 1'220});
  const TestSession modest(lab, {.peer = PeerId{2}, .inner_mtu = 1'220});
  const auto send = [&](const TestSession& to) {
    lab.receive(1, ip_frame(kPortMac, kHostMac,
                            ip_packet(address("fd00::2"), to.host(Family::kIpv6), Bytes(1'200))));
    lab.poll();
    return lab.punted(PuntClass::kSlowPath).size();
  };
  uint64_t sent = 0;
  uint64_t punted = 0;
  for (; sent < 1'000'000 && lab.drops(Drop::kOversizeLimit) == 0; ++sent) punted += send(greedy);
  EXPECT_GE(punted, OversizeLimit::kAtOnce);
  EXPECT_EQ(lab.drops(Drop::kOversizeLimit), 1U);
  EXPECT_EQ(punted, sent - 1);
  EXPECT_EQ(send(modest), 1U);
  EXPECT_EQ(lab.drops(Drop::kOversizeLimit), 1U);
}

}  // namespace
}  // namespace jvpn::test
