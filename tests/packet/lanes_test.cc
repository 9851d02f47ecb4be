// Many sessions on several workers at once: no (key, lane, sequence) is ever used twice, also while
// control replaces TxRecords under the workers' feet.
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {
namespace {

constexpr uint16_t kWorkers = 2;
constexpr uint32_t kSessions = 10;
constexpr uint16_t kLanesPerWorker = 2;  // 4 lanes on 2 workers
constexpr uint64_t kPacketsPerWorker = rounds(100'000);
constexpr unsigned kQueued = 512;  ///< at most about so many wait in a receive queue

/// Nonces seen on the wire, taken from the workers' transmit rings.
class Wire {
 public:
  explicit Wire(Lab& lab) : lab_(lab) {}

  /// Empties the transmit rings.
  void watch() {
    for (uint16_t queue = 0; queue < kWorkers; ++queue) {
      void* entry = nullptr;
      while (rte_ring_sc_dequeue(lab_.tx_ring(kWan, queue), &entry) == 0) {
        auto* packet = static_cast<rte_mbuf*>(entry);
        note_message(rte_pktmbuf_mtod_offset(packet, const uint8_t*, kTunnelV4.transport), queue);
        rte_pktmbuf_free(packet);
      }
    }
  }

  /// From now on lower lanes are stale.
  void expect_from(uint16_t lane) { least_lane_ = lane; }
  uint64_t stale() const { return stale_; }
  uint64_t packets() const { return packets_; }
  uint64_t repeats() const { return repeats_; }
  /// Which workers sent on each (peer index, lane).
  const std::map<std::pair<uint32_t, uint16_t>, std::set<uint16_t>>& senders() const {
    return senders_;
  }

 private:
  void note_message(const uint8_t* message, uint16_t queue) {
    wire::TransportHeader header;
    std::memcpy(&header, message, sizeof header);
    const uint64_t counter = header.counter ^ SessionSpec {}.mask;
    const uint16_t lane = wire::lane_of(counter).value;
    const uint64_t sequence = wire::sequence_of(counter);
    auto& seen = seen_[{header.receiver, lane}];
    if (seen.size() <= sequence) seen.resize(sequence + 1);
    repeats_ += seen[sequence];
    seen[sequence] = true;
    senders_[{header.receiver, lane}].insert(queue);
    stale_ += lane < least_lane_;
    ++packets_;
  }

  Lab& lab_;
  std::map<std::pair<uint32_t, uint16_t>, std::vector<bool>> seen_;
  std::map<std::pair<uint32_t, uint16_t>, std::set<uint16_t>> senders_;
  uint64_t packets_ = 0;
  uint64_t repeats_ = 0;
  uint64_t stale_ = 0;
  uint16_t least_lane_ = 0;
};

class Lanes : public testing::Test {
 public:
  Lanes() {
    for (uint32_t peer = 0; peer < kSessions; ++peer)
      sessions_.push_back(std::make_unique<TestSession>(
          lab_, SessionSpec{.peer = PeerId{peer}, .lanes_per_worker = kLanesPerWorker}));
    for (uint16_t number = 0; number < kWorkers; ++number)
      threads_.emplace_back([this, number] { lab_.worker(number).run(stop_); });
  }
  ~Lanes() override { join(); }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

 protected:
  void join() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  /// Keeps both workers' inside queues filled; `meanwhile` runs between refills.
  template <typename Meanwhile>
  void offer(Wire& wire, Meanwhile meanwhile) {
    std::mt19937_64 random(run_seed());
    std::array<uint64_t, kWorkers> offered{};
    while (offered[0] < kPacketsPerWorker || offered[1] < kPacketsPerWorker) {
      for (uint16_t queue = 0; queue < kWorkers; ++queue) {
        if (rte_ring_count(lab_.rx_ring(kLan, queue)) > kQueued) continue;
        for (unsigned n = 0; n < 64 && offered[queue] < kPacketsPerWorker; ++n, ++offered[queue])
          lab_.receive(kLan, random_frame(random), queue);
      }
      meanwhile();
      wire.watch();
    }
    while (wire.packets() + lab_.all_drops() < kWorkers * kPacketsPerWorker) wire.watch();
  }

  Bytes random_frame(std::mt19937_64& random) {
    const TestSession& session = *sessions_[random() % kSessions];
    return ip_frame(kPortMac, kHostMac,
                    ipv4_packet(address("10.0.0.2"), session.host(Family::kIpv4),
                                udp_datagram(static_cast<uint16_t>(random()), 9, Bytes(8))));
  }

  void expect_unique(const Wire& wire) {
    EXPECT_EQ(wire.repeats(), 0U);
    EXPECT_EQ(wire.packets(), kWorkers * kPacketsPerWorker - lab_.drops(Drop::kTxFull));
    EXPECT_EQ(lab_.all_drops(), lab_.drops(Drop::kTxFull)) << lab_.drop_text();
    EXPECT_EQ(wire.senders().size(), kSessions * kLanesPerWorker * kWorkers);
    for (const auto& [lane, workers] : wire.senders())
      EXPECT_EQ(workers, std::set<uint16_t>{static_cast<uint16_t>(lane.second % kWorkers)});
  }

  Lab lab_{{.workers = kWorkers}};
  std::vector<std::unique_ptr<TestSession>> sessions_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

TEST_F(Lanes, never_repeat_a_counter) {
  Wire wire(lab_);
  offer(wire, [] {});
  join();
  wire.watch();
  expect_unique(wire);
}

TEST_F(Lanes, never_repeat_a_counter_while_records_are_replaced) {
  Wire wire(lab_);
  std::vector<std::unique_ptr<TxRecord>> current(kSessions);
  std::vector<std::pair<uint64_t, std::unique_ptr<TxRecord>>> retired;
  uint64_t published = 0;
  offer(wire, [&] {
    for (uint32_t peer = 0; peer < kSessions; ++peer) {
      auto next = sessions_[peer]->next_revision();
      next->revision = ++published;
      lab_.sessions().store_tx(PeerId{peer}, next.get());
      const uint64_t token = rte_rcu_qsbr_start(lab_.rcu());
      if (current[peer]) retired.emplace_back(token, std::move(current[peer]));
      current[peer] = std::move(next);
    }
    std::erase_if(retired, [&](auto& entry) {
      if (rte_rcu_qsbr_check(lab_.rcu(), entry.first, false) != 1) return false;
      std::memset(static_cast<void*>(entry.second.get()), 0xEE, sizeof(TxRecord));
      return true;
    });
  });
  join();
  wire.watch();
  expect_unique(wire);
  EXPECT_GT(published, 1'000U);
  for (uint32_t peer = 0; peer < kSessions; ++peer) lab_.sessions().store_tx(PeerId{peer}, nullptr);
}

/// Bindings that follow each other: lanes of their own, another source port on the path.
class Jumps {
 public:
  Jumps(Lab& lab, const std::vector<std::unique_ptr<TestSession>>& sessions)
      : lab_(lab), sessions_(sessions) {}

  /// All sessions to the next binding. Returns its first lane.
  uint16_t jump() {
    first_lane_ = static_cast<uint16_t>(first_lane_ + kLanes);
    for (uint32_t peer = 0; peer < kSessions; ++peer) {
      lanes_.push_back(std::make_unique<std::array<TxLane, kLanes>>());
      for (TxLane& lane : *lanes_.back()) lane.quota = UINT64_MAX;
      auto record = sessions_[peer]->next_revision();
      record->binding_version = BindingVersion{first_lane_};
      record->first_lane = LaneId{first_lane_};
      record->lanes = lanes_.back()->data();
      record->header[kTunnelV4.udp + 1] ^= static_cast<uint8_t>(first_lane_);
      lab_.sessions().store_tx(PeerId{peer}, record.get());
      records_.push_back(std::move(record));
    }
    token_ = rte_rcu_qsbr_start(lab_.rcu());
    return first_lane_;
  }
  /// No worker is at the binding before.
  bool settled() const { return rte_rcu_qsbr_check(lab_.rcu(), token_, false) == 1; }

 private:
  static constexpr uint16_t kLanes = kLanesPerWorker * kWorkers;

  Lab& lab_;
  const std::vector<std::unique_ptr<TestSession>>& sessions_;
  std::vector<std::unique_ptr<std::array<TxLane, kLanes>>> lanes_;
  std::vector<std::unique_ptr<TxRecord>> records_;
  uint16_t first_lane_ = 0;
  uint64_t token_ = 0;
};

TEST_F(Lanes, jump_under_full_load_without_a_loss) {
  Wire wire(lab_);
  Jumps jumps(lab_, sessions_);
  uint16_t first_lane = 0;
  uint64_t told = 0;
  offer(wire, [&] {
    if (first_lane != 0 && !jumps.settled()) return;
    wire.watch();  // what was sealed before the workers had seen it
    wire.expect_from(first_lane);
    ++told;
    first_lane = jumps.jump();
  });
  join();
  wire.watch();
  EXPECT_GT(told, 20U);
  EXPECT_EQ(wire.stale(), 0U);
  EXPECT_EQ(wire.repeats(), 0U);
  EXPECT_EQ(wire.packets(), kWorkers * kPacketsPerWorker - lab_.drops(Drop::kTxFull));
  EXPECT_EQ(lab_.all_drops(), lab_.drops(Drop::kTxFull)) << lab_.drop_text();
  for (uint32_t peer = 0; peer < kSessions; ++peer) lab_.sessions().store_tx(PeerId{peer}, nullptr);
}

TEST(LaneClaims, two_workers_open_one_lane_and_deliver_each_packet_once) {
  for (int round = 0; round < 20; ++round) {
    Lab lab({.workers = 2, .handoff_ring = 4096});
    TestSession session(lab, {});
    constexpr uint64_t kPackets = 1'000;
    for (uint64_t sequence = 0; sequence < kPackets; ++sequence) {
      const Bytes inner = ipv4_packet(session.host(Family::kIpv4), address("10.0.0.2"), Bytes(9));
      lab.receive(kWan, session.seal_at_peer(inner, 0, sequence), sequence % 2);
    }
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (size_t number = 0; number < 2; ++number)
      threads.emplace_back([&, number] { lab.worker(number).run(stop); });
    size_t delivered = 0;
    while (delivered + lab.all_drops() < kPackets) delivered += lab.sent(kLan).size();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(delivered, kPackets) << lab.drop_text();
    EXPECT_EQ(session.rx_lane(0).packets.load(), kPackets);
  }
}

}  // namespace
}  // namespace jvpn::test
