// A worker holds what it sends: what a path that died has swallowed goes again, each packet once
// and in order, and what comes while there is no path waits for one.
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include "common/bytes.h"
#include "common/hold_terms.h"
#include "dataplane/hold_store.h"
#include "tests/packet/inner_packets.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/must.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kHoldPackets = 256;

class WorkerHold : public testing::Test {
 protected:
  explicit WorkerHold(const LabOptions& options = {.hold_packets = kHoldPackets}) : lab_(options) {
    lab_.sessions().set_hold_limits({.longest_tsc = UINT64_MAX / 2, .bytes = 1U << 20});
    lab_.poll();
  }
  ~WorkerHold() override {
    if (session_) lab_.sessions().set_waits(session_->spec().peer, 0);
    session_.reset();  // what is held of it is let go
    for (int polls = 0; polls < 8; ++polls) lab_.poll();
  }

  void connect(const SessionSpec& spec = {}) {
    session_ = std::make_unique<TestSession>(lab_, spec);
    session_->tx().hold_serial = 1;
    session_->tx().hold_session = 1;
  }
  /// So many more numbered packets come from the LAN.
  void offer(unsigned packets, Family family = Family::kIpv4) {
    for (unsigned i = 0; i < packets; ++i) {
      Bytes payload = payload_of(64);
      std::memcpy(payload.data(), &number_, sizeof number_);
      ++number_;
      const Bytes packet =
          ip_packet(lan_host(family), session_->host(family), udp_datagram(1000, 2000, payload));
      lab_.receive(kLan, lan_frame(packet));
    }
    for (unsigned polls = 0; polls <= packets / kDefaultBurst; ++polls) lab_.poll();
  }
  /// Numbers of what the peer gets by the present binding, in order; what it took goes to its
  /// windows.
  std::vector<uint32_t> arrive() {
    std::vector<uint32_t> numbers;
    for (const Bytes& frame : lab_.sent(kWan)) {
      const auto opened = session_->open_at_peer(frame);
      if (!opened) {
        ADD_FAILURE() << "a frame that can't be opened";
        continue;
      }
      took_.insert({opened->lane, opened->sequence});
      const size_t payload = (opened->inner[0] >> 4 == 4 ? 20U : 40U) + 8;
      numbers.push_back(load_u32(opened->inner.data() + payload));
    }
    return numbers;
  }
  /// The same, as often as something comes.
  std::vector<uint32_t> arrive_all() {
    std::vector<uint32_t> all;
    for (int idle = 0; idle < 4; ++idle) {
      const std::vector<uint32_t> some = arrive();
      all.insert(all.end(), some.begin(), some.end());
      if (!some.empty()) idle = 0;
      lab_.poll();
    }
    return all;
  }
  /// All that was sent until now is lost on its way.
  void swallow() { lab_.sent(kWan); }

  /// What the peer says of the present binding and has said of those before, and the keys of all.
  std::unique_ptr<HoldTerms> terms(bool reported = true) {
    auto terms = std::make_unique<HoldTerms>();
    if (last_ != nullptr) {
      terms->reports = last_->reports;
      terms->key_count = last_->key_count;
      for (size_t i = 0; i < last_->key_count; ++i) terms->keys[i] = last_->keys[i];
    }
    const TxRecord& record = session_->tx();
    terms->keys.at(terms->key_count++) = {record.peer_index, record.traffic_key};
    if (!reported) return terms;
    LaneReport report{record.peer_index, true, {}};
    for (uint16_t lane = 0; lane < lab_.workers(); ++lane) {
      const auto id = LaneId{static_cast<uint16_t>(record.first_lane.value + lane)};
      std::vector<uint64_t> words(LaneWindow::kWords);
      LaneWindow window({words.data()});
      for (const auto& [at, sequence] : took_)
        if (at == id.value) window.accept(sequence);
      add_lane(report, id, window);
    }
    terms->reports.push_back(report);
    return terms;
  }
  void jump(bool reported = true) {
    terms_.push_back(terms(reported));
    last_ = terms_.back().get();
    session_->jump(last_);
    took_.clear();
  }
  /// The path is dead, and no other one there yet.
  void park() {
    lab_.sessions().set_waits(session_->spec().peer, session_->tx().hold_session);
    lab_.sessions().store_tx(session_->spec().peer, nullptr);
  }
  static std::vector<uint32_t> numbers(uint32_t from, uint32_t end) {
    std::vector<uint32_t> all;
    for (uint32_t number = from; number < end; ++number) all.push_back(number);
    return all;
  }

  std::vector<std::unique_ptr<HoldTerms>> terms_;
  const HoldTerms* last_ = nullptr;
  Lab lab_;
  std::unique_ptr<TestSession> session_;
  uint32_t number_ = 0;
  std::set<std::pair<uint16_t, uint64_t>> took_;
};

TEST_F(WorkerHold, WhatADeadPathSwallowedGoesAgainBeforeAnythingNew) {
  for (const Suite suite : {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305}) {
    for (const Family outer : kFamilies) {
      number_ = 0;
      last_ = nullptr;
      took_.clear();
      connect({.suite = suite, .outer = outer});
      offer(5);
      EXPECT_EQ(arrive(), numbers(0, 5));
      offer(5);
      swallow();
      jump();
      offer(3);
      EXPECT_EQ(arrive_all(), numbers(5, 13));
      offer(2);
      EXPECT_EQ(arrive(), numbers(13, 15)) << "at once: nothing waits any more";
      EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
      session_.reset();
      for (int polls = 0; polls < 4; ++polls) lab_.poll();
    }
  }
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_resent), 30U);
}

TEST_F(WorkerHold, OnlyTheHolesOfWhatCameGoAgain) {
  connect();
  offer(10);
  for (const uint64_t took : {0, 1, 3, 6}) took_.insert({0, took});
  swallow();
  jump();
  lab_.poll();
  EXPECT_EQ(arrive_all(), (std::vector<uint32_t>{2, 4, 5, 7, 8, 9}));
}

TEST_F(WorkerHold, PacketsWaitWhileThereIsNoPath) {
  connect();
  offer(4);
  EXPECT_EQ(arrive(), numbers(0, 4));
  offer(2);
  swallow();
  park();
  offer(6, Family::kIpv4);
  EXPECT_TRUE(lab_.sent(kWan).empty());
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
  jump();
  EXPECT_EQ(arrive_all(), numbers(4, 12));
}

TEST_F(WorkerHold, ASecondCutInTheMiddleChangesNoOrder) {
  connect();
  offer(40);
  swallow();
  jump();
  offer(3);
  std::vector<uint32_t> first = arrive_all();
  EXPECT_EQ(first, numbers(0, 43));
  // All but three of what went again is lost, too.
  took_.clear();
  for (const uint64_t took : {0, 1, 2}) took_.insert({session_->tx().first_lane.value, took});
  offer(2);
  swallow();
  park();
  offer(2);
  jump();
  offer(1);
  EXPECT_EQ(arrive_all(), numbers(3, 48));
}

TEST_F(WorkerHold, APlannedJumpJudgesNothing) {
  connect();
  offer(20);
  swallow();  // on its way by the old path, which lives
  const auto carried = [&] {
    terms_.push_back(terms(false));
    terms_.back()->carried = true;
    last_ = terms_.back().get();
    session_->jump(last_);
    took_.clear();
  };
  carried();
  offer(3);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 23U) << "none was looked at";
  EXPECT_EQ(arrive(), numbers(20, 23));
  carried();
  offer(2);
  swallow();
  jump();  // from a path that died
  offer(1);
  EXPECT_EQ(arrive_all(), numbers(23, 26));
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_unsettled), 0U);
}

TEST_F(WorkerHold, WithoutAWordWhatWasSentIsLetGoAndWhatWaitsIsSent) {
  connect();
  offer(5);
  swallow();
  park();
  offer(3);
  jump(false);
  EXPECT_EQ(arrive_all(), numbers(5, 8));
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_unsettled), 5U);
  terms_.push_back(terms(false));
  terms_.back()->carried = true;
  session_->jump(terms_.back().get());
  offer(1);
  EXPECT_EQ(arrive_all(), numbers(8, 9));
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_unsettled), 5U) << "the path carries it";
}

TEST_F(WorkerHold, ASessionThatHasEndedIsHeldNoLonger) {
  connect();
  offer(5);
  swallow();
  park();
  offer(3);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 8U);
  lab_.sessions().set_waits(session_->spec().peer, 0);
  lab_.poll();
  lab_.poll();
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 0U);
  EXPECT_EQ(lab_.drops(Drop::kNoBinding), 3U) << "those that waited";
  offer(1);
  EXPECT_EQ(lab_.drops(Drop::kNoBinding), 4U);
}

TEST_F(WorkerHold, NothingGoesToWhoHasTheIdNext) {
  connect();
  offer(5);
  swallow();
  park();
  offer(3);
  session_->tx().hold_session = 2;
  jump();
  offer(2);
  EXPECT_EQ(arrive_all(), numbers(8, 10));
  EXPECT_EQ(lab_.drops(Drop::kNoBinding), 3U) << "those that waited";
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 2U);
}

TEST_F(WorkerHold, SessionsThatCannotBeSentToHoldUpNoOther) {
  constexpr uint32_t kStuck = 20;
  std::vector<std::unique_ptr<TestSession>> stuck;
  for (uint32_t number = 0; number < kStuck; ++number) {
    connect({.peer = PeerId{number + 2}});
    offer(1);
    session_->hop().forget();
    jump();
    offer(1);
    stuck.push_back(std::move(session_));
    last_ = nullptr;
  }
  swallow();
  number_ = 0;
  took_.clear();
  connect();
  offer(100);
  swallow();
  jump();
  offer(1);
  lab_.poll();
  EXPECT_EQ(arrive(), numbers(0, 101)) << "at once, several bursts";
  stuck.clear();
  for (uint32_t polls = 0; polls < 2 * kStuck; ++polls) lab_.poll();
}

TEST_F(WorkerHold, TheOldestGiveWayAndAreCounted) {
  connect();
  park();
  const uint32_t each = 28 + 64 + sizeof(HoldStore::Entry);
  lab_.sessions().set_hold_limits({.longest_tsc = UINT64_MAX / 2, .bytes = 10 * each});
  lab_.poll();
  offer(16);
  EXPECT_EQ(lab_.drops(Drop::kHoldFull), 6U);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_bytes), 10 * each);
  jump();
  EXPECT_EQ(arrive_all(), numbers(6, 16));
}

TEST_F(WorkerHold, TheArrayIsBoundedWhateverSessionsMayHold) {
  connect();
  park();
  for (int burst = 0; burst < 10; ++burst) offer(32);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), kHoldPackets);
  EXPECT_EQ(lab_.drops(Drop::kHoldFull), 320 - kHoldPackets);
  jump();
  EXPECT_EQ(arrive_all(), numbers(320 - kHoldPackets, 320));
}

TEST_F(WorkerHold, WhatIsLateIsDroppedByName) {
  connect();
  offer(2);
  swallow();
  park();
  offer(3);
  const uint64_t tick = rte_rdtsc() + 1;
  while (rte_rdtsc() < tick) {
  }
  lab_.sessions().set_hold_limits({.longest_tsc = 1, .bytes = 1U << 20});
  lab_.poll();
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 0U);
  EXPECT_EQ(lab_.drops(Drop::kHoldLate), 3U);
  jump();
  EXPECT_TRUE(arrive_all().empty());
}

TEST_F(WorkerHold, NothingGoesToANeighbourThatIsntKnown) {
  connect();
  offer(3);
  swallow();
  session_->hop().forget();
  jump();
  offer(2);
  EXPECT_TRUE(arrive_all().empty());
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
  session_->hop().set(kPeerMac, kPortMac);
  EXPECT_EQ(arrive_all(), numbers(0, 5));
}

TEST_F(WorkerHold, WhatControlSendsIsHeldByACopy) {
  connect();
  PacketNote note;
  note.action = InjectAction::kRoute;
  rte_mbuf* mbuf =
      make_packet(lab_.dataplane().control_pool(), from_host(*session_, Family::kIpv4, 64));
  note_of(mbuf) = note;
  ASSERT_EQ(rte_ring_sp_enqueue(lab_.dataplane().rings(0).inject, mbuf), 0);
  lab_.poll();
  swallow();
  EXPECT_EQ(rte_mempool_in_use_count(lab_.dataplane().control_pool()), 0U);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 1U);
  jump();
  EXPECT_EQ(arrive_all().size(), 1U);
}

class LargeHold : public WorkerHold {
 protected:
  LargeHold() : WorkerHold({.hold_packets = 1'024}) {}
};

TEST_F(LargeHold, AShareThatIsLoweredStopsNoWorker) {
  connect();
  park();
  for (int burst = 0; burst < 20; ++burst) offer(32);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 640U);
  const uint32_t each = 28 + 64 + sizeof(HoldStore::Entry);
  lab_.sessions().set_hold_limits({.longest_tsc = UINT64_MAX / 2, .bytes = 10 * each});
  lab_.poll();
  offer(1);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 128U) << "512 gave way";
  EXPECT_EQ(lab_.drops(Drop::kHoldFull), 513U) << "and the new one was refused";
  offer(1);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 10U);
}

/// The receiving ring of the port takes 64 frames at a time.
class SmallPort : public WorkerHold {
 protected:
  SmallPort() : WorkerHold({.port_ring = 64, .hold_packets = kHoldPackets}) {}
};

TEST_F(SmallPort, WhatThePortDoesntTakeWaitsOn) {
  connect();
  for (int burst = 0; burst < 6; ++burst) {
    offer(32);
    swallow();
  }
  jump();
  for (int polls = 0; polls < 20; ++polls) lab_.poll();
  offer(8);
  EXPECT_EQ(arrive_all(), numbers(0, 200));
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
}

TEST_F(SmallPort, WhatThePortDidntTakeGoesByTheNextBinding) {
  connect();
  for (int burst = 0; burst < 6; ++burst) {
    offer(32);
    swallow();
  }
  jump();
  for (int polls = 0; polls < 20; ++polls) lab_.poll();
  EXPECT_EQ(arrive(), numbers(0, 64));
  jump();
  EXPECT_EQ(arrive_all(), numbers(64, 192));
}

/// Without a word of the profile.
class NoHold : public WorkerHold {
 protected:
  NoHold() : WorkerHold({}) {}
};

TEST_F(NoHold, NothingIsHeldAndNothingWaits) {
  connect();
  offer(4);
  EXPECT_EQ(arrive(), numbers(0, 4));
  park();
  offer(2);
  EXPECT_EQ(lab_.drops(Drop::kNoBinding), 2U);
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_packets), 0U);
}

}  // namespace
}  // namespace jvpn::test
