// A client asks the other gateways of its cluster whether they are there, so that the claim of its
// session goes first to one that answers (tests/support/gateway_cluster.h).
#include "common/limits.h"
#include "tests/support/gateway_cluster.h"

namespace jvpn {
namespace {

using test::Cluster;
using test::Datagram;
using test::expect_one_session_at;
using test::Fate;
using test::kPeer;
using wire::MessageType;

constexpr Millis kAsked{12'000};  // by then every path was asked twice, if need be

const Datagram* first_to_another(const Cluster& cluster, size_t from, MessageType type) {
  for (size_t i = from; i < cluster.world.sent.size(); ++i) {
    const Datagram& each = cluster.world.sent[i];
    if (each.from == 0 && each.to != 1 && each.type() == type) return &each;
  }
  ADD_FAILURE() << "nothing of that type was sent";
  return nullptr;
}

/// Of four paths to two gateways one leads somewhere. Each in turn.
void claim_goes_first_to(size_t warm, size_t network) {
  SCOPED_TRACE("node " + std::to_string(warm) + ", network " + std::to_string(network));
  Cluster cluster(3);
  cluster.connect();
  cluster.filter = [&](const Datagram& each) {
    const size_t gateway = std::max(each.from, each.to);
    const bool there = gateway == 1 || (gateway == warm && each.network() == network);
    return there ? Fate::kDeliver : Fate::kDrop;
  };
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  const size_t before = cluster.world.sent.size();
  cluster.until_lost();
  EXPECT_LE(cluster.until_at(warm), Millis{300}) << "the first claim was answered";
  const Datagram* const claim = first_to_another(cluster, before, MessageType::kInitiation);
  ASSERT_NE(claim, nullptr);
  EXPECT_EQ(claim->to, warm);
  EXPECT_EQ(claim->network(), network);
  expect_one_session_at(cluster, warm);
}

TEST(WarmGateways, TheFirstClaimGoesWhereSomebodyAnswers) {
  for (const size_t node : {2U, 3U})
    for (const size_t network : {0U, 1U}) claim_goes_first_to(node, network);
}

TEST(WarmGateways, OneThatTakesNoSessionsIsPassedOver) {
  Cluster cluster(3);
  cluster.connect();
  cluster.store(2).lost = true;
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  const size_t before = cluster.world.sent.size();
  cluster.until_lost();
  EXPECT_LE(cluster.until_at(3), Millis{300});
  const Datagram* const claim = first_to_another(cluster, before, MessageType::kInitiation);
  ASSERT_NE(claim, nullptr);
  EXPECT_EQ(claim->to, 3U);
}

TEST(WarmGateways, WhenNobodyIsKnownToAnswerAllAreTried) {
  Cluster cluster(3);
  cluster.connect();
  cluster.dead = {2, 3};
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  cluster.until_lost();
  cluster.raise(3);
  cluster.until_at(3);
  expect_one_session_at(cluster, 3);
}

/// A gateway that was warm has died since, and the one that didn't answer is back.
TEST(WarmGateways, WhatIsKnownMayBeOutOfDate) {
  Cluster cluster(3);
  cluster.connect();
  cluster.dead = {2};
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  cluster.dead.insert(3);
  cluster.raise(2);
  cluster.until_lost();
  EXPECT_LE(cluster.until_at(2), Millis{2'500}) << "in the third round";
  expect_one_session_at(cluster, 2);
}

/// A busy gateway: everybody's claims come at once, and it wants proof of addresses.
TEST(WarmGateways, TheFirstClaimShowsTheCookieOfTheInquiry) {
  Cluster cluster;
  cluster.connect();
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  const size_t before = cluster.world.sent.size();
  cluster.until_lost();
  cluster.until_at(2);
  const Datagram* const claim = first_to_another(cluster, before, MessageType::kInitiation);
  ASSERT_NE(claim, nullptr);
  uint64_t generation = 0;
  const CookieSecrets& secrets = cluster.world.engine(2).cookie_secrets(generation);
  MessageMac mac = std::move(*MessageMac::create());
  const auto keys = ResponderMacKeys::derive(mac, cluster.world.public_key(1));
  EXPECT_EQ(check_macs(mac, keys.mac1, secrets, claim->path.remote, claim->bytes),
            MacVerdict::kVerified);
}

/// The peers' clocks may differ: the responder has started later than the client believes it is.
TEST(WarmGateways, TheFirstClaimIsTakenWhateverTheClientsClockSays) {
  Cluster cluster;
  cluster.connect();
  cluster.world.node(0).clock_behind = Millis{500'000};
  cluster.world.restart(2, cluster.adjust());
  cluster.world.run_with_data(kAsked, 50);
  cluster.kill(1);
  cluster.until_lost();
  cluster.until_at(2);
  EXPECT_EQ(count_sent(cluster.world, 2, MessageType::kRetry), 0U);
  expect_one_session_at(cluster, 2);
}

TEST(WarmGateways, InquiriesMakeNothing) {
  Cluster cluster;
  cluster.connect();
  cluster.world.run_with_data(Millis{120'000}, 100);
  const size_t asked = cluster.sent_to(2, MessageType::kInquiry);
  EXPECT_GE(asked, 2U * (120 / 25 - 1));
  EXPECT_LE(asked, 2U * (120 / 15 + 1));
  EXPECT_EQ(count_sent(cluster.world, 2, MessageType::kReadiness), asked);
  EXPECT_TRUE(cluster.world.node(2).sessions().empty());
  EXPECT_TRUE(cluster.world.node(2).events.empty());
  EXPECT_TRUE(cluster.world.node(2).rx.empty());
}

TEST(WarmGateways, AClientThatKnowsOneAsksNobody) {
  Cluster cluster(1);
  cluster.connect();
  cluster.world.run_with_data(Millis{60'000}, 100);
  EXPECT_EQ(cluster.sent_to(1, MessageType::kInquiry), 0U);
}

}  // namespace
}  // namespace jvpn
