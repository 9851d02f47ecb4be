// Publication under load, for ThreadSanitizer as well: one writer replaces records and frees them
// after grace periods while readers use them, and rings carry packets between two threads. A reader
// that sees freed or torn memory finds fields that don't belong together.
//
// Readers are plain threads with RCU numbers of their own. DPDK's libraries are not instrumented;
// here only its inline rings and RCU, which are, synchronise the threads.
#if defined(__SANITIZE_THREAD__)
#define RTE_USE_C11_MEM_MODEL 1  // rings by atomics, which the sanitizer follows, not by fences
#endif

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "common/route_table.h"
#include "common/secret.h"
#include "common/session_table.h"
#include "dataplane/handles.h"
#include "tests/support/must.h"

namespace jvpn {
namespace {

constexpr uint32_t kReaders = 2;
constexpr uint32_t kPeers = 64;

std::chrono::milliseconds duration() {
  const char* given = std::getenv("JVPN_STRESS_MS");
  return std::chrono::milliseconds(given != nullptr ? std::atoi(given) : 2'000);
}

class RcuStress : public testing::Test {
 protected:
  /// Runs `read(rng)` on every reader, quiescent between bursts, sometimes offline.
  template <typename Read>
  void start_readers(Read read) {
    for (uint32_t number = 0; number < kReaders; ++number) {
      threads_.emplace_back([this, number, read] {
        rte_rcu_qsbr_thread_register(rcu_, number);
        rte_rcu_qsbr_thread_online(rcu_, number);
        uint32_t random = number + 1;
        while (!stop_.load(std::memory_order_relaxed)) {
          for (int burst = 0; burst < 32; ++burst) read(random = random * 1664525U + 1013904223U);
          rte_rcu_qsbr_quiescent(rcu_, number);
          if (random % 1024 != 0) continue;
          rte_rcu_qsbr_thread_offline(rcu_, number);
          std::this_thread::yield();
          rte_rcu_qsbr_thread_online(rcu_, number);
        }
        rte_rcu_qsbr_thread_offline(rcu_, number);
        rte_rcu_qsbr_thread_unregister(rcu_, number);
      });
    }
  }
  void stop_readers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  /// Frees after a grace period that begins now; keeps the queue short.
  template <typename Record>
  void retire(const Record* record) {
    if (record == nullptr) return;
    retired_.push_back({rte_rcu_qsbr_start(rcu_), [record] {
                          auto* memory = const_cast<Record*>(record);
                          wipe(memory, sizeof *memory);
                          delete memory;
                        }});
    while (!retired_.empty() && (rte_rcu_qsbr_check(rcu_, retired_.front().token, false) == 1 ||
                                 retired_.size() > 1'000)) {
      rte_rcu_qsbr_check(rcu_, retired_.front().token, true);
      retired_.front().free();
      retired_.pop_front();
    }
  }
  void retire_rest() {
    for (auto& entry : retired_) entry.free();
    retired_.clear();
  }

  struct Retired {
    uint64_t token;
    std::function<void()> free;
  };
  const Rcu owned_rcu_ = test::must(make_rcu(kReaders));
  rte_rcu_qsbr* const rcu_ = owned_rcu_.get();
  const std::unique_ptr<SessionTable> sessions_ = test::must(SessionTable::create(kPeers));
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> torn_{0};
  std::atomic<uint64_t> seen_{0};
  std::deque<Retired> retired_;
};

/// Every field says the same number, so that a torn read shows.
TxRecord* tx_record(uint64_t number) {
  auto* record = new TxRecord;
  record->binding_version = BindingVersion{number};
  record->revision = number;
  record->peer_index = ReceiverIndex{static_cast<uint32_t>(number)};
  std::memset(record->header, static_cast<int>(number & 0xFF), sizeof record->header);
  std::memset(&record->traffic_key.gcm, static_cast<int>(number & 0xFF),
              sizeof record->traffic_key.gcm);
  return record;
}

bool is_whole(const TxRecord& record) {
  const uint64_t number = record.revision;
  uint8_t key_end;
  std::memcpy(
      &key_end,
      reinterpret_cast<const uint8_t*>(&record.traffic_key.gcm) + sizeof record.traffic_key.gcm - 1,
      1);
  const auto low = static_cast<uint8_t>(number);
  return number != 0 && record.binding_version.value == number &&
         record.peer_index.value == static_cast<uint32_t>(number) && record.header[0] == low &&
         record.header[kMaxTemplate - 1] == low && key_end == low;
}

RxRecord* rx_record(uint32_t index, RxLane* lanes) {
  auto* record = new RxRecord;
  record->index = ReceiverIndex{index};
  record->peer = PeerId{index % kPeers};
  record->lane_count = 4;
  record->lanes = lanes;
  return record;
}

TEST_F(RcuStress, records_are_whole_while_they_are_replaced) {
  std::array<RxLane, 4> lanes;
  const uint32_t mask = (1U << sessions_->slot_bits()) - 1;
  start_readers([&](uint32_t random) {
    const TxRecord* tx = sessions_->tx(PeerId{random >> 8 & (kPeers - 1)});
    if (tx != nullptr) {
      torn_ += is_whole(*tx) ? 0 : 1;
      ++seen_;
    }
    const RxRecord* rx = sessions_->rx(random >> 4);
    if (rx == nullptr) return;
    const uint32_t index = rx->index.value;
    if ((index & mask) != (random >> 4 & mask) || rx->peer.value != index % kPeers ||
        rx->lanes != lanes.data() || rx->lane_count != 4)
      ++torn_;
    ++seen_;
  });
  uint64_t published = 0;
  const auto end = std::chrono::steady_clock::now() + duration();
  while (std::chrono::steady_clock::now() < end) {
    ++published;
    const PeerId peer{static_cast<uint32_t>(published % kPeers)};
    retire(sessions_->store_tx(peer, published % 7 == 0 ? nullptr : tx_record(published)));
    const auto index = static_cast<uint32_t>(published * 2654435761U);
    retire(sessions_->store_rx(ReceiverIndex{index}, rx_record(index, lanes.data())));
  }
  stop_readers();
  EXPECT_EQ(torn_.load(), 0U);
  EXPECT_GT(seen_.load(), 0U);
  for (uint32_t peer = 0; peer < kPeers; ++peer) retire(sessions_->store_tx(PeerId{peer}, nullptr));
  for (uint32_t slot = 0; slot <= mask; ++slot)
    retire(sessions_->store_rx(ReceiverIndex{slot}, nullptr));
  retire_rest();
  std::printf("%llu publications, %llu records read\n", static_cast<unsigned long long>(published),
              static_cast<unsigned long long>(seen_.load()));
}

TEST_F(RcuStress, lanes_are_claimed_once) {
  constexpr size_t kLanes = 1'000;
  std::vector<RxLane> lanes(kLanes);
  std::vector<LaneWords> words(kLanes);
  for (size_t i = 0; i < kLanes; ++i) lanes[i].keep_window_in(words[i]);
  std::array<std::vector<uint8_t>, kReaders> won;
  std::vector<std::thread> claimers;
  for (uint32_t number = 0; number < kReaders; ++number) {
    won[number].resize(kLanes);
    claimers.emplace_back([&, number] {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        uint32_t owner = RxLane::kUnclaimed;
        won[number][lane] =
            lanes[lane].owner.compare_exchange_strong(owner, number, std::memory_order_acq_rel);
        if (won[number][lane] != 0) lanes[lane].window.accept(1'000 + number);
      }
    });
  }
  for (std::thread& thread : claimers) thread.join();
  for (size_t lane = 0; lane < kLanes; ++lane)
    EXPECT_EQ(won[0][lane] + won[1][lane], 1) << "lane " << lane;
}

#if !defined(__SANITIZE_THREAD__)
// The tables' own code is DPDK's and not instrumented: ThreadSanitizer can't judge it.
TEST_F(RcuStress, routes_stay_right_while_they_change) {
  auto routes = *RouteTable::create({1024, 1024, 256, 256}, rcu_);
  const auto add = [&](const char* prefix, uint32_t peer) {
    EXPECT_TRUE(routes->add(Prefix::parse(prefix).value(), Target::peer(PeerId{peer})).ok());
  };
  add("10.0.0.0/8", 1);
  add("10.1.0.1/32", 3);
  add("fd00::/16", 5);
  EXPECT_TRUE(routes->commit().ok());
  const std::array<uint8_t, 16> v6{0xFD, 0, 1};
  start_readers([&](uint32_t random) {
    const uint32_t steady = __builtin_bswap32(0x0A010001);
    const uint32_t moving = __builtin_bswap32(0x0A020300 | (random >> 8 & 0xFF));
    const uint32_t at = routes->lookup_v4(moving).bits;
    const uint32_t at6 = routes->lookup_v6(v6.data()).bits;
    if (routes->lookup_v4(steady).bits != 3 || (at != 1 && at != 2 && at != 4) ||
        (at6 != 5 && at6 != 6))
      ++torn_;
    ++seen_;
  });
  const auto end = std::chrono::steady_clock::now() + duration();
  for (unsigned round = 0; std::chrono::steady_clock::now() < end; ++round) {
    const Prefix host{IpAddress::v4({10, 2, 3, static_cast<uint8_t>(round)}), 32};
    const Prefix narrow = Prefix::parse("10.2.3.128/25").value();
    EXPECT_TRUE(routes->add(host, Target::peer(PeerId{2})).ok());
    EXPECT_TRUE(routes->add(narrow, Target::peer(PeerId{4})).ok());
    if (round % 2 == 0) routes->remove(narrow);
    routes->remove(host);
    if (round % 64 != 0) continue;
    EXPECT_TRUE(
        routes
            ->add(Prefix::parse("fd00:100::/24").value(), Target::peer(PeerId{5 + round / 64 % 2}))
            .ok());
    EXPECT_TRUE(routes->commit().ok());
  }
  stop_readers();
  EXPECT_EQ(torn_.load(), 0U);
  EXPECT_GT(seen_.load(), 0U);
}
#endif

TEST_F(RcuStress, rings_carry_everything_once_and_in_order) {
  struct Packet {
    uint64_t number;
    uint64_t filled[7];
  };
  const Ring owned = test::must(make_ring("stress", 512));
  rte_ring* const ring = owned.get();
  std::thread producer([&] {
    for (uint64_t number = 0; !stop_.load(std::memory_order_relaxed); ++number) {
      auto* packet = new Packet{number, {}};
      for (uint64_t& word : packet->filled) word = ~number;
      while (rte_ring_sp_enqueue(ring, packet) != 0) {
        if (stop_.load(std::memory_order_relaxed)) return delete packet;
        std::this_thread::yield();
      }
    }
  });
  uint64_t expected = 0;
  const auto end = std::chrono::steady_clock::now() + duration();
  void* entries[32];
  const auto take = [&] {
    const unsigned taken = rte_ring_sc_dequeue_burst(ring, entries, 32, nullptr);
    for (unsigned i = 0; i < taken; ++i) {
      const std::unique_ptr<Packet> packet(static_cast<Packet*>(entries[i]));
      torn_ += packet->number != expected++ || packet->filled[6] != ~packet->number;
    }
    return taken;
  };
  while (std::chrono::steady_clock::now() < end) {
    if (take() == 0) std::this_thread::yield();
  }
  stop_ = true;
  producer.join();
  while (take() != 0) {
  }
  EXPECT_EQ(torn_.load(), 0U);
  EXPECT_GT(expected, 0U);
}

}  // namespace
}  // namespace jvpn
