#include "control/session/bindings.h"

#include "common/limits.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using BindingsPart = test::PartRig;

TEST_F(BindingsPart, ASpareBelongsToOnePath) {
  Bindings bindings(context);
  Session& session = attached(true);
  learn(session, 2);
  const SpareBinding* const first = bindings.assign_spare(session, test::path_over(2));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->status, SpareStatus::kAssigned);
  EXPECT_EQ(latest<RxInstall>().index, first->local);
  EXPECT_EQ(bindings.assign_spare(session, test::path_over(2)), first);
  EXPECT_EQ(bindings.assign_spare(session, test::path_over(3), 1), nullptr) << "one is kept";
  EXPECT_NE(bindings.assign_spare(session, test::path_over(3)), nullptr);
  EXPECT_EQ(bindings.assign_spare(session, test::path_over(4)), nullptr) << "none is left";
}

TEST_F(BindingsPart, RebindingDrainsTheOldIndexAndVoidsSparesBelow) {
  Bindings bindings(context);
  Session& session = attached(false);
  bindings.top_up_spares(session, *session.current);
  const size_t offered = session.current->spares.size();
  ASSERT_GE(offered, 3U);
  const ReceiverIndex old_index = session.current->local;
  const ReceiverIndex new_index = session.current->spares.numbered(2)->local;
  bindings.rebind(now, session, 2, test::path_over(2));
  EXPECT_EQ(session.current->local, new_index);
  EXPECT_EQ(session.path, test::path_over(2));
  EXPECT_EQ(session.current->spares.numbered(1)->status, SpareStatus::kVoid);
  EXPECT_EQ(session.current->spares.count(SpareStatus::kOffered), offered - 2);
  const std::vector<DrainingIndex>& draining = table.peer(kPeer).draining;
  ASSERT_EQ(draining.size(), 1U);
  EXPECT_EQ(draining[0].index, old_index);
  EXPECT_EQ(count<RxRetire>(), 0U);
  bindings.serve_draining(draining[0].until, table.peer(kPeer));
  EXPECT_EQ(latest<RxRetire>().index, old_index);
  EXPECT_EQ(latest<TxInstall>().first_lane, LaneId{2});
}

TEST_F(BindingsPart, InstallsHoldUntilKeysOrSessionEnd) {
  Bindings bindings(context);
  Session& session = attached(false);
  const Millis keys_end = session.current->created + Millis{kKeyRefuseAfterMs};
  bindings.install_tx(session);
  bindings.install_rx(session, *session.current);
  EXPECT_EQ(latest<TxInstall>().until, keys_end);
  EXPECT_EQ(latest<RxInstall>().until, keys_end);
  config.policy.session.max_lifetime = Millis{kKeyRefuseAfterMs / 2};
  const Millis end = session_ends(session.record(), config.policy);
  bindings.extend(session);
  EXPECT_EQ(latest<Extend>().until, end);
  EXPECT_EQ(latest<Extend>().index, ReceiverIndex{}) << "the send side comes last";
  bindings.install_tx(session);
  EXPECT_EQ(latest<TxInstall>().until, end);
}

TEST_F(BindingsPart, LanesInstalledAgainKeepTheirQuota) {
  Bindings bindings(context);
  Session& session = attached(true);
  session.current->binding = 2;  // after a jump, the key's first half was used before
  environment.traffic.tx_generation_packets = kGcmKeyBlocks / 4;
  environment.traffic.tx_generation_bytes = 16 * (kGcmKeyBlocks / 4);
  bindings.install_tx(session);
  const uint64_t quota = latest<TxInstall>().blocks_per_lane;
  EXPECT_EQ(quota, kGcmKeyBlocks / 2);
  environment.traffic.tx_generation_packets += 1'000'000;  // by these lanes
  session.path_mtu = 1'240;
  bindings.install_tx(session);
  EXPECT_EQ(latest<TxInstall>().inner_mtu, 1'240);
  EXPECT_EQ(latest<TxInstall>().blocks_per_lane, quota);
}

TEST_F(BindingsPart, WhatWaitsIsLetGoWhenItsSessionEnds) {
  Bindings bindings(context);
  Session& session = attached(false);
  bindings.withdraw_tx(session, Waiting::kKept);
  EXPECT_EQ(latest<TxWithdraw>().waiting, Waiting::kKept);
  bindings.withdraw_tx(session, Waiting::kKept);
  EXPECT_EQ(count<TxWithdraw>(), 1U);
  bindings.withdraw_tx(session, Waiting::kLetGo);
  EXPECT_EQ(latest<TxWithdraw>().waiting, Waiting::kLetGo);
  bindings.withdraw_tx(session, Waiting::kLetGo);
  EXPECT_EQ(count<TxWithdraw>(), 2U) << "nothing waits any more";
  bindings.install_tx(session);
  bindings.withdraw_tx(session, Waiting::kKept);
  bindings.install_tx(session);
  bindings.withdraw_tx(session, Waiting::kLetGo);
  bindings.withdraw_tx(session, Waiting::kLetGo);
  EXPECT_EQ(count<TxWithdraw>(), 4U);
}

TEST_F(BindingsPart, ReleasedKeysLeaveNoIndexBehind) {
  Bindings bindings(context);
  Session& session = attached(false);
  bindings.top_up_spares(session, *session.current);
  const size_t alive = PeerTable::indices_alive(table.peer(kPeer));
  bindings.release_keys(now, session, false);
  EXPECT_EQ(count<RxRetire>(), alive);
  EXPECT_EQ(PeerTable::indices_alive(table.peer(kPeer)), 0U);
}

TEST_F(BindingsPart, APeerNeverHasMoreIndicesThanItsShare) {
  Bindings bindings(context);
  Session& session = attached(false);
  const IssuedSpares issued = bindings.issue_spares(kPeer, 1, 100);
  EXPECT_LT(issued.spares.size(), size_t{kIndicesPerSession});
  session.current->spares = issued.spares;
  EXPECT_LE(PeerTable::indices_alive(table.peer(kPeer)), size_t{kIndicesPerSession});
}

using BindingsDeath = test::PartRig;

TEST_F(BindingsDeath, ACommitTakesASpareThatIsThere) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Bindings bindings(context);
  Session& session = attached(false);
  EXPECT_DEATH(bindings.rebind(now, session, 7, test::path_over(2)), "a commit takes a spare");
}

}  // namespace
}  // namespace jvpn
