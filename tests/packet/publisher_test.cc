// What workers see of an install, when old records go, and that no counter is lost or repeated.
#include "control/publish/publisher.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/handles.h"
#include "tests/support/must.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr EtherAddress kPort{0x02, 0, 0, 0, 0, 0x01};
constexpr EtherAddress kHop{0x02, 0, 0, 0, 0, 0x99};
constexpr PeerId kPeer{3};
constexpr ReceiverIndex kIndex{0x12340001};
constexpr unsigned kWorkers = 2;

/// One registered reader stands for the workers: nothing is freed until it is quiescent.
class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    rte_rcu_qsbr_thread_register(rcu_.get(), 0);
    rte_rcu_qsbr_thread_online(rcu_.get(), 0);
    PortInfo port;
    port.mac = kPort;
    port.mtu = 1'500;
    ports_ = {port};
    hop_.set(kHop, kPort);
    reclaimer_ = std::make_unique<Reclaimer>(rcu_.get(), 64);
    publisher_ = must(Publisher::create(*table_, *reclaimer_, ports_, kWorkers));
  }
  ~PublisherTest() override { rte_rcu_qsbr_thread_offline(rcu_.get(), 0); }

  void quiesce() {
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    reclaimer_->reclaim();
  }

  static RxInstall rx(ReceiverIndex index = kIndex, uint16_t lanes = 4) {
    RxInstall install;
    install.index = index;
    install.peer = kPeer;
    install.suite = Suite::kAes128Gcm;
    install.traffic_key.fill(0xA1);
    install.control_key.fill(0xC1);
    install.lanes = lanes;
    return install;
  }
  static TxInstall tx(uint8_t key = 0xB1) {
    TxInstall install;
    install.peer = kPeer;
    install.binding_version = BindingVersion{7};
    install.key_generation = 1;
    install.peer_index = ReceiverIndex{0xAABBCCDD};
    install.suite = Suite::kAes128Gcm;
    install.traffic_key.fill(key);
    install.lanes = 4;
    install.blocks_per_lane = 1'000;
    install.path = {0, *Endpoint::parse("192.0.2.1:51900"), *Endpoint::parse("192.0.2.2:40000")};
    return install;
  }

  Rcu rcu_ = must(make_rcu(1));
  std::vector<PortInfo> ports_;
  std::unique_ptr<SessionTable> table_ = must(SessionTable::create(16));
  std::unique_ptr<Reclaimer> reclaimer_;
  std::unique_ptr<Publisher> publisher_;
  SharedHop hop_;
};

TEST_F(PublisherTest, DeadlinesStandInTheRecordsAndMove) {
  const auto soon = CoarseDeadline::coarse(uint64_t{1} << 40);
  publisher_->install_rx(rx(), uint64_t{1} << 40);
  publisher_->install_tx(tx(), &hop_, 1'000);
  EXPECT_TRUE(table_->rx(kIndex.value)->deadline.load().passed(soon));
  EXPECT_EQ(table_->tx(kPeer)->deadline_tsc, 1'000U);
  publisher_->extend_rx(kIndex, uint64_t{1} << 41);
  publisher_->extend_tx(kPeer, 2'000);
  EXPECT_FALSE(table_->rx(kIndex.value)->deadline.load().passed(soon));
  EXPECT_EQ(table_->tx(kPeer)->deadline_tsc, 2'000U);
  publisher_->extend_rx(ReceiverIndex{kIndex.value ^ 0x80000000},
                        uint64_t{1} << 40);  // nothing of theirs is installed
  publisher_->extend_tx(PeerId{kPeer.value + 1}, 1'000);
  EXPECT_FALSE(table_->rx(kIndex.value)->deadline.load().passed(soon));
  EXPECT_EQ(table_->tx(kPeer)->deadline_tsc, 2'000U);
}

TEST_F(PublisherTest, CarriesAPeerAsLongAsWorkersSealForIt) {
  EXPECT_FALSE(publisher_->carries(kPeer, 1'000));
  EXPECT_FALSE(publisher_->carries(PeerId{table_->peers()}, 1'000)) << "there is no such peer";
  TxInstall owned = tx();
  owned.owned = true;
  publisher_->install_tx(owned, &hop_, 1'000);
  EXPECT_TRUE(publisher_->carries(kPeer, 1'000));
  EXPECT_FALSE(publisher_->carries(kPeer, 1'001)) << "it has expired";
  table_->set_silent_after(500);
  EXPECT_TRUE(publisher_->carries(kPeer, 500));
  EXPECT_FALSE(publisher_->carries(kPeer, 501)) << "nothing proves that it is ours";
  owned.owned = false;
  publisher_->install_tx(owned, &hop_, 1'000);
  EXPECT_TRUE(publisher_->carries(kPeer, 501)) << "no store owns it";
  publisher_->withdraw_tx(kPeer);
  EXPECT_FALSE(publisher_->carries(kPeer, 500));
}

TEST_F(PublisherTest, WhatIsDueIsFreedInSlices) {
  constexpr size_t kMore = 3;
  Reclaimer reclaimer(rcu_.get(), 2 * Reclaimer::kAtOnce);
  size_t freed = 0;
  for (size_t i = 0; i < Reclaimer::kAtOnce + kMore; ++i) reclaimer.defer([&] { ++freed; });
  rte_rcu_qsbr_quiescent(rcu_.get(), 0);
  reclaimer.reclaim();
  EXPECT_EQ(freed, Reclaimer::kAtOnce);
  EXPECT_EQ(reclaimer.pending(), kMore);
  reclaimer.reclaim();
  EXPECT_EQ(freed, Reclaimer::kAtOnce + kMore);
}

/// A worker that stands still keeps the memory that it may read, but only so much of it.
TEST_F(PublisherTest, MemoryWaitsForAStuckWorkerOnlyUpToTheBound) {
  struct Stuck {};
  Reclaimer reclaimer(rcu_.get(), 4);
  reclaimer.on_stuck([] { throw Stuck(); });
  size_t freed = 0;
  const auto free = [&freed] { ++freed; };
  for (int i = 0; i < 4; ++i) reclaimer.defer(free);
  EXPECT_THROW(reclaimer.defer(free), Stuck);
  EXPECT_EQ(freed, 0U);
  rte_rcu_qsbr_thread_offline(rcu_.get(), 0);  // it has ended
  reclaimer.defer(free);
  EXPECT_EQ(freed, 4U);
  reclaimer.flush();
  rte_rcu_qsbr_thread_online(rcu_.get(), 0);
}

TEST_F(PublisherTest, InstallsReceiveSide) {
  publisher_->install_rx(rx());
  const RxRecord* record = table_->rx(kIndex.value);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->index, kIndex);
  EXPECT_EQ(record->peer, kPeer);
  EXPECT_EQ(record->lane_count, 4);
  EXPECT_EQ(record->lanes[3].owner.load(), RxLane::kUnclaimed);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(record) % kCacheLine, 0U);
  publisher_->retire_rx(ReceiverIndex{kIndex.value ^ 0x80000000});  // same slot, another index
  EXPECT_EQ(table_->rx(kIndex.value), record);
  publisher_->retire_rx(kIndex);
  EXPECT_EQ(table_->rx(kIndex.value), nullptr);
}

/// What an audit is told is what stands in the table, whoever put it there.
TEST_F(PublisherTest, WhatAClosedIndexTookIsToldAfterTheGracePeriod) {
  publisher_->install_rx(rx());
  RxLane& lane = table_->rx(kIndex.value)->lanes[1];
  for (const uint64_t sequence : {0U, 1U, 3U}) lane.window.accept(sequence);
  publisher_->retire_rx(kIndex, publish::Report::kYes);
  EXPECT_EQ(table_->rx(kIndex.value), nullptr) << "no worker finds it any more";
  reclaimer_->reclaim();
  EXPECT_TRUE(publisher_->take_closed().empty()) << "a worker may still have it in hand";
  lane.window.accept(5);
  quiesce();
  const auto closed = publisher_->take_closed();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].peer, kPeer);
  EXPECT_EQ(closed[0].report, (LaneReport{kIndex, true, {{LaneId{1}, 6, {0b001010}}}}));
  EXPECT_TRUE(publisher_->take_closed().empty()) << "once";
  publisher_->retire_rx(kIndex, publish::Report::kYes);
  quiesce();
  EXPECT_TRUE(publisher_->take_closed().empty()) << "it isn't installed any more";
  EXPECT_EQ(publisher_->bytes_in_use(), 0U);
}

TEST_F(PublisherTest, TellsWhatWorkersFind) {
  publisher_->install_rx(rx());
  publisher_->install_tx(tx(), &hop_);
  const TxRecord* const ours = table_->tx(kPeer);
  EXPECT_EQ(publisher_->seen_tx(kPeer), ours);
  ASSERT_EQ(publisher_->seen_rx(kPeer).size(), 1U);
  const TxRecord planted{};
  table_->store_tx(kPeer, &planted);
  EXPECT_EQ(publisher_->seen_tx(kPeer), &planted);
  table_->store_tx(kPeer, ours);
  const RxRecord* const installed = table_->store_rx(kIndex, nullptr);
  EXPECT_TRUE(publisher_->seen_rx(kPeer).empty());
  table_->store_rx(kIndex, installed);
}

TEST_F(PublisherTest, RefusesImpossibleInstalls) {
  publisher_->install_rx(rx(kIndex, 0));
  publisher_->install_rx(rx(kIndex, kMaxLanes + 1));
  TxInstall nowhere = tx();
  nowhere.path.interface = 9;
  publisher_->install_tx(nowhere, &hop_);
  TxInstall nobody = tx();
  nobody.peer = PeerId{16};
  publisher_->install_tx(nobody, &hop_);
  EXPECT_EQ(publisher_->failures(), 4U);
  EXPECT_EQ(table_->rx(kIndex.value), nullptr);
}

TEST_F(PublisherTest, TemplateIsTheFrameThatLeavesButForTheNextHop) {
  publisher_->install_tx(tx(), &hop_);
  const TxRecord* record = table_->tx(kPeer);
  ASSERT_NE(record, nullptr);
  Bytes transport{4, 0, 0, 0, 0xDD, 0xCC, 0xBB, 0xAA, 0, 0, 0, 0, 0, 0, 0, 0};
  Bytes udp = udp_datagram(51'900, 40'000, transport);
  put16(udp, 4, 0);
  Bytes ip = ipv4_packet(address("192.0.2.1"), address("192.0.2.2"), udp);
  put16(ip, 2, 0);
  put16(ip, 10, 0);
  EXPECT_EQ(Bytes(record->header, record->header + record->template_bytes),
            ethernet_frame({}, kPort, kIpv4Type, ip));
  uint32_t sum = 0;
  for (size_t i = 0; i < 20; i += 2) sum += static_cast<uint32_t>(ip[i] | ip[i + 1] << 8);
  EXPECT_EQ(record->ipv4_checksum_base, sum % 0xFFFF);
  EXPECT_EQ(record->inner_mtu, 1'500 - 60);
  EXPECT_EQ(record->lanes_per_worker, 2);
  EXPECT_EQ(record->lanes[3].quota, 1'000U);
}

TEST_F(PublisherTest, Ipv6TemplateAndTheSmallerMtu) {
  TxInstall install = tx();
  install.path = {0, *Endpoint::parse("[2001:db8::1]:51900"),
                  *Endpoint::parse("[2001:db8::2]:40000")};
  install.inner_mtu = 1'400;
  publisher_->install_tx(install, &hop_);
  const TxRecord* record = table_->tx(kPeer);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->template_bytes, 78);
  EXPECT_EQ(record->outer, Family::kIpv6);
  EXPECT_EQ(record->inner_mtu, 1'400);
  install.inner_mtu = 9'000;
  publisher_->install_tx(install, &hop_);
  EXPECT_EQ(table_->tx(kPeer)->inner_mtu, 1'500 - 80);
}

TEST_F(PublisherTest, RecordsReferToTheirNextHop) {
  publisher_->install_tx(tx(), &hop_);
  EXPECT_EQ(table_->tx(kPeer)->next_hop, &hop_);
  publisher_->install_tx(tx(), nullptr);
  ASSERT_NE(table_->tx(kPeer)->next_hop, nullptr);
  EXPECT_EQ(table_->tx(kPeer)->next_hop->link.load(), 0U) << "workers drop by name";
  EXPECT_EQ(table_->tx(kPeer)->revision, 1U);
}

TEST_F(PublisherTest, ANextHopIsHowFramesBegin) {
  const Bytes frame = ethernet_frame(kHop, kPort, kIpv4Type, {});
  const uint64_t link = hop_.link.load();
  EXPECT_EQ(std::memcmp(&link, frame.data(), sizeof link), 0);
  hop_.forget();
  EXPECT_EQ(hop_.link.load(), 0U);
}

TEST_F(PublisherTest, CountersNeverGoBackUnderOneKey) {
  publisher_->install_tx(tx(), &hop_);
  TxLane* const lanes = table_->tx(kPeer)->lanes;
  lanes[1].next_sequence = 42;
  TxInstall again = tx();
  again.binding_version = BindingVersion{8};
  publisher_->install_tx(again, &hop_);
  EXPECT_EQ(table_->tx(kPeer)->lanes, lanes);
  EXPECT_EQ(table_->tx(kPeer)->revision, 0U);
  publisher_->withdraw_tx(kPeer);
  publisher_->install_rx(rx());  // the session lives on
  quiesce();
  publisher_->install_tx(tx(), &hop_);
  EXPECT_NE(table_->tx(kPeer), nullptr);

  TxInstall fresh_lanes = tx();
  fresh_lanes.binding_version = BindingVersion{9};
  fresh_lanes.first_lane = LaneId{4};
  publisher_->install_tx(fresh_lanes, &hop_);
  EXPECT_EQ(table_->tx(kPeer)->lanes[0].next_sequence, 0U);
  publisher_->install_tx(tx(), &hop_);  // back to lanes that were given up
  EXPECT_EQ(table_->tx(kPeer), nullptr);
  EXPECT_EQ(publisher_->failures(), 1U);
}

TEST_F(PublisherTest, LanesOfDataThatWentAheadGoOn) {
  publisher_->install_tx(tx(), &hop_);
  TxInstall ahead = tx();
  ahead.first_lane = LaneId{8};
  publisher_->install_tx(ahead, &hop_);
  TxLane* const lanes = table_->tx(kPeer)->lanes;
  lanes[0].next_sequence = 3;
  TxInstall elsewhere = tx();
  elsewhere.first_lane = LaneId{4};
  publisher_->install_tx(elsewhere, &hop_);
  EXPECT_EQ(table_->tx(kPeer)->lanes[0].next_sequence, 0U);
  table_->tx(kPeer)->lanes[0].next_sequence = 2;
  ahead.binding_version = BindingVersion{8};  // committed after all
  publisher_->install_tx(ahead, &hop_);
  EXPECT_EQ(table_->tx(kPeer)->lanes, lanes);
  EXPECT_EQ(lanes[0].next_sequence, 3U);
  quiesce();
  EXPECT_EQ(publisher_->totals(kPeer).tx_generation_packets, 5U);
  publisher_->install_tx(elsewhere, &hop_);
  EXPECT_EQ(table_->tx(kPeer), nullptr) << "below the committed one";
  EXPECT_EQ(publisher_->failures(), 1U);
}

TEST_F(PublisherTest, WithdrawnLanesSurviveWhileTheSessionDoes) {
  publisher_->install_rx(rx());
  publisher_->install_tx(tx(), &hop_);
  TxLane* const lanes = table_->tx(kPeer)->lanes;
  lanes[0].next_sequence = 9;
  publisher_->withdraw_tx(kPeer);
  EXPECT_EQ(table_->tx(kPeer), nullptr);
  quiesce();
  publisher_->install_tx(tx(), &hop_);
  EXPECT_EQ(table_->tx(kPeer)->lanes, lanes);
  EXPECT_EQ(lanes[0].next_sequence, 9U);
}

TEST_F(PublisherTest, NothingIsFreedBeforeTheGracePeriod) {
  publisher_->install_rx(rx());
  const RxRecord* record = table_->rx(kIndex.value);
  const RxLane* lanes = record->lanes;
  const uint64_t* words = lanes->window.words().first;
  record->lanes[0].window.accept(64);
  record->lanes[0].window.accept(1'000);  // the first one's word now stands among the others
  publisher_->retire_rx(kIndex);
  reclaimer_->reclaim();
  EXPECT_EQ(reclaimer_->pending(), 1U);
  EXPECT_EQ(words[1], 1U);
  EXPECT_EQ(record->index, kIndex);
  EXPECT_EQ(record->control().key[0], 0xC1);
  const size_t before = publisher_->bytes_in_use();
  quiesce();
  EXPECT_EQ(reclaimer_->pending(), 0U);
  EXPECT_LT(publisher_->bytes_in_use(), before);
  // Freed memory stays mapped in the slab: it must hold no key, only the free list's link.
  const auto* bytes = reinterpret_cast<const uint8_t*>(record);
  EXPECT_TRUE(
      std::all_of(bytes + sizeof(void*), bytes + sizeof *record, [](uint8_t b) { return b == 0; }));
  const auto* lane_bytes = reinterpret_cast<const uint8_t*>(lanes);
  EXPECT_TRUE(std::all_of(lane_bytes + sizeof(void*), lane_bytes + sizeof *lanes,
                          [](uint8_t b) { return b == 0; }));
  EXPECT_EQ(words[1], 0U);
}

// Each record has the schedule expanded from the key.
TEST_F(PublisherTest, NoSendingKeyOutlivesItsRecord) {
  std::vector<const TxRecord*> gone;
  std::vector<Bytes> schedules;
  const auto note = [&] {
    gone.push_back(table_->tx(kPeer));
    ASSERT_NE(gone.back(), nullptr);
    const auto* key = reinterpret_cast<const uint8_t*>(&gone.back()->traffic_key);
    schedules.emplace_back(key, key + sizeof gone.back()->traffic_key);
  };
  publisher_->install_tx(tx(), &hop_);
  note();
  publisher_->install_tx(tx(), nullptr);
  note();
  publisher_->install_tx(tx(0xB2), &hop_);
  note();
  EXPECT_EQ(schedules[0], schedules[1]);
  EXPECT_NE(schedules[1], schedules[2]);
  publisher_->withdraw_tx(kPeer);
  EXPECT_EQ(std::memcmp(&gone[0]->traffic_key, schedules[0].data(), schedules[0].size()), 0)
      << "workers may still read it";
  quiesce();
  EXPECT_EQ(reclaimer_->pending(), 0U);
  for (const TxRecord* record : gone) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(record);
    EXPECT_TRUE(std::all_of(bytes + sizeof(void*), bytes + sizeof *record,
                            [](uint8_t b) { return b == 0; }));
  }
}

TEST_F(PublisherTest, TotalsOutliveGenerations) {
  publisher_->install_rx(rx());
  publisher_->install_tx(tx(), &hop_);
  RxLane& in = table_->rx(kIndex.value)->lanes[2];
  in.packets = 10;
  in.bytes = 1'000;
  in.last_tsc = 77;
  TxLane& out = table_->tx(kPeer)->lanes[1];
  out.next_sequence = 5;
  out.bytes = 500;
  TrafficTotals totals = publisher_->totals(kPeer);
  EXPECT_EQ(totals.rx_packets, 10U);
  EXPECT_EQ(totals.tx_generation_packets, 5U);

  publisher_->install_rx(rx(ReceiverIndex{0x12340002}));
  publisher_->install_tx(tx(0xB2), &hop_);
  publisher_->retire_rx(kIndex);
  in.packets = 12;  // a worker that had the old record in hand
  out.next_sequence = 6;
  quiesce();
  totals = publisher_->totals(kPeer);
  EXPECT_EQ(totals.rx_packets, 12U);
  EXPECT_EQ(totals.rx_bytes, 1'000U);
  EXPECT_EQ(totals.last_rx_tsc, 77U);
  EXPECT_EQ(totals.tx_packets, 6U);
  EXPECT_EQ(totals.tx_bytes, 500U);
  EXPECT_EQ(totals.tx_generation_packets, 0U);

  publisher_->withdraw_tx(kPeer);
  publisher_->retire_rx(ReceiverIndex{0x12340002});
  EXPECT_EQ(publisher_->totals(kPeer).rx_packets, 0U);
  quiesce();
  EXPECT_EQ(publisher_->bytes_in_use(), 0U);
}

TEST_F(PublisherTest, AFullDeferredListWaitsInsteadOfGrowing) {
  rte_rcu_qsbr_thread_offline(rcu_.get(), 0);  // asleep: holds up nothing
  for (uint32_t i = 0; i < 500; ++i) {
    publisher_->install_rx(rx());
    publisher_->retire_rx(kIndex);
    EXPECT_LE(reclaimer_->pending(), 64U);
  }
  rte_rcu_qsbr_thread_online(rcu_.get(), 0);
}

}  // namespace
}  // namespace jvpn::test
