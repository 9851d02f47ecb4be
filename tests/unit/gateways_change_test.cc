// What changes at a client of several gateways while a session lives or moves: its profile; and
// what somebody on the path makes of it that they share a key.
#include <optional>
#include <string>

#include "tests/support/gateway_cluster.h"

namespace jvpn {
namespace {

using test::Cluster;
using test::Datagram;
using test::expect_one_session_at;
using test::kPeer;
using wire::MessageType;

/// A reload at a gateway that dials: the second of its peer's gateways is the first now.
void put_second_first(Cluster& cluster) {
  EnginePeer peer;
  peer.name = "cluster";
  peer.public_key = cluster.world.public_key(1);
  std::vector<Path> paths;
  for (const size_t node : {2U, 1U}) {
    for (const size_t network : {0U, 1U}) {
      peer.gateways.push_back({test::endpoint_of(node, network),
                               GatewayNumber{static_cast<uint8_t>(node == 2 ? 0 : 1)}});
      paths.push_back(test::path_between(0, node, network));
    }
  }
  cluster.world.engine(0).update_peer(kPeer, peer);
  cluster.world.engine(0).set_candidates(cluster.world.now, kPeer, paths);
}

TEST(Gateways, AnotherOrderMovesNoSession) {
  Cluster cluster;
  cluster.connect();
  cluster.kill(1);
  cluster.until_at(2);
  cluster.raise(1);
  put_second_first(cluster);
  const size_t sent = cluster.sent_beside_inquiries(1);
  cluster.world.run_with_data(Millis{5'000}, 10);
  expect_one_session_at(cluster, 2);
  EXPECT_EQ(cluster.sent_beside_inquiries(1), sent);
  cluster.kill(2);
  cluster.until_at(1);
  expect_one_session_at(cluster, 1);
}

/// The reload forgets what was known of each gateway; the answer that waits for its confirmation
/// may be of any.
TEST(Gateways, AnotherOrderWhileAConfirmationIsHeldBack) {
  Cluster cluster;
  cluster.connect();
  const SessionId id = cluster.client().id;
  cluster.until_second_waits();
  put_second_first(cluster);
  cluster.store(2).holds = false;
  cluster.store(2).release();
  cluster.world.run_with_data(Millis{100}, 10);
  EXPECT_EQ(cluster.client().id, id);
  expect_one_session_at(cluster, 2);
  const auto call = cluster.world.engine(0).dialling(kPeer);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->path, cluster.client().path);
  EnginePeer alone;
  alone.name = "one";
  alone.public_key = cluster.world.public_key(1);
  cluster.world.engine(0).update_peer(kPeer, alone);
  expect_one_session_at(cluster, 2);
}

/// Each knows by itself alone which timestamps were taken.
TEST(Gateways, ACopyOfAnInitiationAtAnotherGatewayMovesNothing) {
  Cluster cluster;
  cluster.connect();
  const SessionView before = cluster.client();
  const auto first = std::ranges::find_if(cluster.world.sent, [](const Datagram& each) {
    return each.from == 0 && each.type() == MessageType::kInitiation;
  });
  ASSERT_NE(first, cluster.world.sent.end());
  Datagram copy = *first;
  const Path there = test::path_between(0, 2);
  copy.to = 2;
  copy.path = {there.interface, there.remote, there.local};
  const auto answers = [&] {
    return std::ranges::count_if(cluster.world.sent, [](const Datagram& each) {
      return each.from == 2 && each.type() == MessageType::kResponse;
    });
  };
  for (int i = 0; i < 3; ++i) cluster.world.deliver(copy);
  cluster.world.run_with_data(Millis{10'000}, 10);
  EXPECT_EQ(answers(), 1) << "once";
  EXPECT_EQ(cluster.client().id, before.id);
  EXPECT_EQ(cluster.client().binding_version, before.binding_version);
  expect_one_session_at(cluster, 1);
  cluster.kill(1);
  cluster.until_at(2);
  EXPECT_EQ(cluster.client().id, before.id);
  expect_one_session_at(cluster, 2);
}

}  // namespace
}  // namespace jvpn
