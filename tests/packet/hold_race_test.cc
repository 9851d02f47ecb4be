// Workers hold and send on threads of their own while paths die and control settles what is held:
// whichever record a worker has at the moment, each packet comes once, and a flow keeps its order.
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/hold_terms.h"
#include "tests/packet/inner_packets.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {
namespace {

constexpr uint16_t kRacers = 2;  ///< workers, and flows: each comes to a worker of its own
constexpr unsigned kCuts = rounds(300);
constexpr uint32_t kUnderWay = 512;  ///< packets of a flow, at most

class HoldRace : public testing::Test {
 protected:
  HoldRace() {
    lab_.sessions().set_hold_limits({.longest_tsc = UINT64_MAX / 2, .bytes = 16U << 20});
    lab_.poll();
    session_ = std::make_unique<TestSession>(lab_, SessionSpec{});
    session_->tx().hold_serial = 1;
    session_->tx().hold_session = 1;
    for (uint16_t number = 0; number < kRacers; ++number)
      threads_.emplace_back([this, number] { lab_.worker(number).run(stop_); });
  }
  ~HoldRace() override {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    lab_.sessions().set_waits(session_->spec().peer, 0);
    session_.reset();
    for (int polls = 0; polls < 32; ++polls) lab_.poll();
  }

  void offer(uint32_t packets) {
    for (uint32_t each = 0; each < packets; ++each) {
      for (uint32_t flow = 0; flow < kRacers; ++flow) {
        while (offered_[flow] - arrived_[flow] >= kUnderWay && !dead_) take();
        put(flow);
      }
      take();
    }
  }
  void put(uint32_t flow) {
    Bytes payload = payload_of(64);
    std::memcpy(payload.data(), &offered_[flow], sizeof(uint32_t));
    ++offered_[flow];
    const auto port = static_cast<uint16_t>(1'000 + flow);
    const Bytes packet = ip_packet(lan_host(Family::kIpv4), session_->host(Family::kIpv4),
                                   udp_datagram(port, 2'000, payload));
    lab_.receive(kLan, lan_frame(packet), flow);
  }
  /// What the peer gets. It takes nothing under an index that it has closed.
  void take() {
    for (const Bytes& frame : lab_.sent(kWan)) {
      const uint32_t receiver = load_u32(frame.data() + kTunnelV4.transport + 4);
      if (dead_ || receiver != session_->tx().peer_index.value) continue;
      const auto opened = session_->open_at_peer(frame);
      ASSERT_TRUE(opened);
      took_.push_back({opened->lane, opened->sequence});
      const uint32_t flow = load_be16(opened->inner.data() + 20) - 1'000U;
      const uint32_t number = load_u32(opened->inner.data() + 28);
      ASSERT_LT(flow, kRacers);
      ASSERT_EQ(number, arrived_[flow]) << "of flow " << flow;
      ++arrived_[flow];
    }
  }

  void take_all_of_it() {
    for (uint64_t looks = 0; looks < 100'000'000 && arrived_ != offered_ && !HasFatalFailure();
         ++looks)
      take();
  }

  /// The index is closed: what it took, and the keys of the last bindings.
  void settle() {
    auto terms = std::make_unique<HoldTerms>();
    const TxRecord& record = session_->tx();
    if (!terms_.empty()) {
      const HoldTerms& before = *terms_.back();
      const size_t surplus = before.key_count == HoldTerms::kMostKeys ? 1 : 0;
      for (size_t i = surplus; i < before.key_count; ++i)
        terms->keys[terms->key_count++] = before.keys[i];
      terms->reports = before.reports;
      if (terms->reports.size() == HoldTerms::kMostReports)
        terms->reports.erase(terms->reports.begin());
    }
    terms->keys[terms->key_count++] = {record.peer_index, record.traffic_key};
    LaneReport report{record.peer_index, true, {}};
    for (uint16_t lane = 0; lane < kRacers; ++lane) {
      const LaneId id{static_cast<uint16_t>(record.first_lane.value + lane)};
      std::vector<uint64_t> words(LaneWindow::kWords);
      LaneWindow window({words.data()});
      for (const auto& [at, sequence] : took_)
        if (at == id.value) window.accept(sequence);
      add_lane(report, id, window);
    }
    terms->reports.push_back(report);
    took_.clear();
    terms_.push_back(std::move(terms));
    session_->jump(terms_.back().get());
  }
  /// The same, while packets come: workers look for the record at any moment of it.
  void settle_under_traffic(uint32_t packets) {
    std::atomic<bool> begun{false};
    std::thread source([&] {
      for (uint32_t each = 0; each < packets; ++each) {
        for (uint32_t flow = 0; flow < kRacers; ++flow) put(flow);
        begun = true;
      }
    });
    while (!begun && packets != 0) std::this_thread::yield();
    settle();
    source.join();
  }
  void park() {
    lab_.sessions().set_waits(session_->spec().peer, 1);
    lab_.sessions().store_tx(session_->spec().peer, nullptr);
  }

  std::vector<std::unique_ptr<HoldTerms>> terms_;
  Lab lab_{{.workers = kRacers, .hold_packets = 2'048}};
  std::unique_ptr<TestSession> session_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
  bool dead_ = false;
  std::array<uint32_t, kRacers> offered_{};
  std::array<uint32_t, kRacers> arrived_{};
  std::vector<std::pair<uint16_t, uint64_t>> took_;
};

TEST_F(HoldRace, EachPacketComesOnceAndInOrder) {
  std::mt19937_64 random(run_seed());
  for (unsigned cut = 0; cut < kCuts && !HasFatalFailure(); ++cut) {
    offer(static_cast<uint32_t>(random() % 100));
    dead_ = true;
    offer(static_cast<uint32_t>(random() % 50));
    if (random() % 2 == 0) {
      park();
      offer(static_cast<uint32_t>(random() % 50));
    }
    settle_under_traffic(static_cast<uint32_t>(random() % 50));
    dead_ = false;
    // Keys and reports of the last four bindings are known: none of before is needed any more.
    if (cut % 3 == 2) take_all_of_it();
  }
  take_all_of_it();
  EXPECT_EQ(arrived_, offered_);
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
  EXPECT_EQ(lab_.total(&WorkerCounters::hold_unsettled), 0U);
}

}  // namespace
}  // namespace jvpn::test
