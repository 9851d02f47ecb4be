// What the publisher tells workers of the packets that they hold: serials, reports and keys, for as
// long as something may be held that they are about.
#include "control/publish/hold_book.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include "common/hold_terms.h"
#include "control/publish/publisher.h"
#include "dataplane/handles.h"
#include "tests/support/must.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr PeerId kHeldPeer{3};
constexpr uint64_t kLongest = uint64_t{1} << 50;  // cycles: nothing expires by itself
constexpr GatewayHoldLimits kHolds{.longest_tsc = kLongest, .bytes = 1U << 20};

class HoldBookTest : public testing::Test {
 protected:
  HoldBookTest() {
    rte_rcu_qsbr_thread_register(rcu_.get(), 0);
    rte_rcu_qsbr_thread_online(rcu_.get(), 0);
    PortInfo port;
    port.mtu = 1'500;
    ports_ = {port};
    publisher_ = must(Publisher::create(*table_, reclaimer_, ports_, 1));
    publisher_->hold().tend(kHolds, rte_rdtsc());
  }
  ~HoldBookTest() override { rte_rcu_qsbr_thread_offline(rcu_.get(), 0); }

  /// The peer's index and key have the same number.
  const TxRecord& install(uint8_t number) {
    TxInstall install;
    install.peer = kHeldPeer;
    install.binding_version = BindingVersion{++version_};
    install.peer_index = index(number);
    install.suite = Suite::kAes128Gcm;
    install.traffic_key.fill(number);
    install.path = {0, *Endpoint::parse("192.0.2.1:51900"), *Endpoint::parse("192.0.2.2:40000")};
    EXPECT_EQ(publisher_->install_tx(install, nullptr), publish::Refusal::kNone);
    return *table_->tx(kHeldPeer);
  }
  static ReceiverIndex index(uint8_t number) { return ReceiverIndex{0xAB00U + number}; }
  static LaneReport report(uint8_t number) {
    return {index(number), true, {{LaneId{0}, number + uint64_t{1}, {}}}};
  }
  void settle(std::vector<LaneReport> reports, bool carried = true) {
    publisher_->hold().settle(kHeldPeer, std::move(reports), carried);
  }
  void quiesce() {
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    reclaimer_.reclaim();
  }
  const HoldTerms* terms() const { return table_->tx(kHeldPeer)->hold_terms; }

  Rcu rcu_ = must(make_rcu(1));
  std::vector<PortInfo> ports_;
  std::unique_ptr<SessionTable> table_ = must(SessionTable::create(16));
  Reclaimer reclaimer_{rcu_.get(), 64};
  std::unique_ptr<Publisher> publisher_;
  uint64_t version_ = 0;
};

TEST_F(HoldBookTest, OnlyACommitChangesTheSerial) {
  const uint32_t first = install(1).hold_serial;
  EXPECT_NE(first, 0U);
  EXPECT_EQ(install(2).hold_serial, first) << "a rekey settles nothing";
  settle({report(2), report(1)});
  EXPECT_EQ(table_->tx(kHeldPeer)->hold_serial, first) << "not before the install";
  const TxRecord& next = install(3);
  EXPECT_NE(next.hold_serial, first);
  ASSERT_NE(terms(), nullptr);
  EXPECT_EQ(terms()->receipt(index(1), LaneId{0}, 1), Receipt::kReceived);
  EXPECT_EQ(terms()->receipt(index(1), LaneId{0}, 2), Receipt::kMissing);
  EXPECT_EQ(terms()->receipt(index(3), LaneId{0}, 0), Receipt::kUnknown);
  for (uint8_t number = 1; number <= 3; ++number)
    EXPECT_NE(terms()->key_of(index(number)), nullptr) << int{number};
  EXPECT_FALSE(terms()->carried);
  const HoldTerms* const told = terms();
  EXPECT_EQ(install(4).hold_terms, told) << "revisions and rekeys go on by the same";
}

TEST_F(HoldBookTest, AWorkerMaySkipACommit) {
  install(1);
  settle({report(1)});
  install(2);
  settle({report(2)});
  install(3);
  EXPECT_EQ(terms()->receipt(index(1), LaneId{0}, 0), Receipt::kReceived);
  EXPECT_EQ(terms()->receipt(index(2), LaneId{0}, 3), Receipt::kMissing);
}

TEST_F(HoldBookTest, APathThatLivesCarriesWhatWasSent) {
  install(1);
  settle({});
  install(2);
  EXPECT_TRUE(terms()->carried);
  publisher_->withdraw_tx(kHeldPeer, session::Waiting::kKept);
  settle({});
  install(3);
  EXPECT_FALSE(terms()->carried) << "it had none, and nobody tells";
  settle({}, false);
  install(4);
  EXPECT_FALSE(terms()->carried) << "it was dead at the other end, which can't tell";
}

TEST_F(HoldBookTest, KeysAndReportsGoWhenNothingCanBeHeldAnyMore) {
  install(1);
  settle({report(1)});
  install(2);
  quiesce();
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 1U);
  publisher_->hold().tend(kHolds, rte_rdtsc());
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 1U);
  EXPECT_NE(terms(), nullptr);
  publisher_->hold().tend(kHolds, rte_rdtsc() + kLongest);
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 0U);
  EXPECT_EQ(terms(), nullptr);
  EXPECT_EQ(reclaimer_.pending(), 1U) << "a worker may be reading it";
  quiesce();
  EXPECT_EQ(reclaimer_.pending(), 0U);
  settle({report(2)});
  install(3);
  EXPECT_EQ(terms()->receipt(index(1), LaneId{0}, 0), Receipt::kUnknown);
  EXPECT_EQ(terms()->key_of(index(1)), nullptr);
}

TEST_F(HoldBookTest, OfManyKeysTheLatestAreKept) {
  for (uint8_t number = 1; number <= 6; ++number) install(number);
  settle({report(6)});
  install(7);
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), HoldTerms::kMostKeys - 1);
  for (uint8_t number = 1; number <= 7; ++number)
    EXPECT_EQ(terms()->key_of(index(number)) != nullptr, number > 3) << int{number};
}

TEST_F(HoldBookTest, PacketsWaitBetweenTwoPathsAlone) {
  EXPECT_EQ(table_->waits(kHeldPeer), 0U);
  session::RxInstall rx;
  rx.index = ReceiverIndex{1};
  rx.peer = kHeldPeer;
  rx.suite = Suite::kAes128Gcm;
  publisher_->install_rx(rx);
  install(1);
  publisher_->withdraw_tx(kHeldPeer, session::Waiting::kKept);
  EXPECT_NE(table_->waits(kHeldPeer), 0U);
  EXPECT_EQ(table_->waits(kHeldPeer), install(2).hold_session);
  EXPECT_NE(table_->waits(kHeldPeer), 0U) << "a worker may have found no path just before";
  publisher_->withdraw_tx(kHeldPeer);
  EXPECT_EQ(table_->waits(kHeldPeer), 0U) << "the session is over";
  install(3);
  publisher_->withdraw_tx(kHeldPeer, session::Waiting::kKept);
  publisher_->retire_rx(rx.index);
  EXPECT_EQ(table_->waits(kHeldPeer), 0U) << "it ended without a path";
  EXPECT_EQ(publisher_->hold().size(), 0U);
}

TEST_F(HoldBookTest, WhoHasTheIdNextIsAnotherSession) {
  const uint32_t before = install(1).hold_session;
  EXPECT_NE(before, 0U);
  EXPECT_EQ(install(2).hold_session, before);
  session::RxInstall rx;
  rx.index = ReceiverIndex{1};
  rx.peer = kHeldPeer;
  rx.suite = Suite::kAes128Gcm;
  publisher_->install_rx(rx);
  publisher_->withdraw_tx(kHeldPeer);
  publisher_->retire_rx(rx.index);
  EXPECT_NE(install(3).hold_session, before);
}

TEST_F(HoldBookTest, ALongerHoldKeepsKeysLongerAndAShorterOneShorter) {
  install(1);
  settle({report(1)});
  install(2);
  const GatewayHoldLimits longer{.longest_tsc = 2 * kLongest, .bytes = kHolds.bytes};
  publisher_->hold().tend(longer, rte_rdtsc() + kLongest);
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 1U) << "something may be held so long";
  publisher_->hold().tend(longer, rte_rdtsc() + 2 * kLongest);
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 0U) << "its time has come all the same";
  EXPECT_EQ(terms(), nullptr);
  install(3);
  publisher_->hold().tend({.longest_tsc = 1, .bytes = kHolds.bytes}, rte_rdtsc() + 1);
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 0U);
}

TEST_F(HoldBookTest, NoKeyIsLeftOfAHoldThatIsTurnedOff) {
  install(1);
  settle({report(1)});
  install(2);
  quiesce();
  publisher_->hold().tend({}, rte_rdtsc());
  EXPECT_EQ(publisher_->hold().old_keys(kHeldPeer), 0U);
  EXPECT_EQ(terms(), nullptr);
  EXPECT_EQ(install(3).hold_serial, 0U);
  EXPECT_EQ(publisher_->hold().size(), 0U) << "nor of what was the record's then";
  publisher_->hold().tend(kHolds, rte_rdtsc());
  settle({});
  install(4);
  EXPECT_EQ(terms()->key_of(index(2)), nullptr);
}

TEST_F(HoldBookTest, WithoutLimitsNothingIsTold) {
  publisher_->hold().tend({}, rte_rdtsc());
  install(1);
  settle({report(1)});
  EXPECT_EQ(install(2).hold_serial, 0U);
  EXPECT_EQ(terms(), nullptr);
  EXPECT_EQ(publisher_->hold().size(), 0U);
}

}  // namespace
}  // namespace jvpn::test
