// DPDK's heap is short at any one point, or from there on: whoever was promised memory gets it,
// everybody else hears that there is none, and what was there before stays.
#include <algorithm>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "control/publish/publisher.h"
#include "dataplane/handles.h"
#include "tests/packet/heap_faults.h"
#include "tests/support/must.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr PeerId kShort{3};
constexpr uint16_t kLanes = 64;  // a session's objects need many chunks of the slab

/// A publisher without workers, and one session's installs as the engine would have them.
class Life {
 public:
  Life() {
    PortInfo port;
    port.mtu = 1'500;
    ports_ = {port};
    publisher_ = must(Publisher::create(*table_, reclaimer_, ports_, 1));
  }

  /// Keys under `index`. False: refused, and nothing has changed.
  bool key(uint32_t index, uint8_t key) {
    const TxRecord* before = table_->tx(kShort);
    const bool room = publisher_->reserve_rx(kShort, ReceiverIndex{index}, kLanes) &&
                      publisher_->reserve_tx(kShort, kLanes);
    if (!room) {
      publisher_->release_rx(ReceiverIndex{index});
      EXPECT_EQ(table_->rx(index), nullptr);
      EXPECT_EQ(table_->tx(kShort), before);
      return false;
    }
    RxInstall rx;
    rx.index = ReceiverIndex{index};
    rx.peer = kShort;
    rx.suite = Suite::kAes128Gcm;
    rx.lanes = kLanes;
    EXPECT_EQ(publisher_->install_rx(rx), Refusal::kNone);
    EXPECT_NE(table_->rx(index), nullptr);
    send(key, LaneId{0}, 1);
    return true;
  }
  /// Another binding under the same keys. False: refused, and the old one goes on.
  bool jump(uint8_t key) {
    const TxRecord* before = table_->tx(kShort);
    if (!publisher_->reserve_tx(kShort, kLanes)) {
      EXPECT_EQ(table_->tx(kShort), before);
      return false;
    }
    send(key, LaneId{kLanes}, 2);
    return true;
  }
  void retire(uint32_t index) { publisher_->retire_rx(ReceiverIndex{index}); }
  size_t end() {
    publisher_->withdraw_tx(kShort);
    reclaimer_.flush();
    return publisher_->bytes_in_use();
  }

 private:
  void send(uint8_t key, LaneId first, uint64_t version) {
    TxInstall tx;
    tx.peer = kShort;
    tx.binding_version = BindingVersion{version};
    tx.peer_index = ReceiverIndex{7};
    tx.suite = Suite::kAes128Gcm;
    tx.traffic_key.fill(key);
    tx.first_lane = first;
    tx.lanes = kLanes;
    tx.path = {0, *Endpoint::parse("192.0.2.1:51900"), *Endpoint::parse("192.0.2.2:40000")};
    const TxRecord* before = table_->tx(kShort);
    EXPECT_EQ(publisher_->install_tx(tx, nullptr), Refusal::kNone) << "the memory was promised";
    EXPECT_NE(table_->tx(kShort), nullptr);
    EXPECT_NE(table_->tx(kShort), before);
  }

  Rcu rcu_ = must(make_rcu(1));
  std::vector<PortInfo> ports_;
  std::unique_ptr<SessionTable> table_ = must(SessionTable::create(16));
  Reclaimer reclaimer_{rcu_.get()};
  std::unique_ptr<Publisher> publisher_;
};

/// What one life asked for and didn't get.
unsigned live(const std::function<bool(uint64_t)>& fails, bool& failed) {
  Life session;
  HeapFaults faults(fails);
  const std::vector<bool> steps{session.key(0x11, 1), session.jump(1), session.key(0x22, 2),
                                session.jump(2)};
  for (const uint32_t index : {0x11U, 0x22U}) session.retire(index);
  EXPECT_EQ(session.end(), 0U) << "leaked";
  failed = faults.failed() != 0;
  return static_cast<unsigned>(std::ranges::count(steps, false));
}

TEST(NoMemory, OneAllocationFailsAndItsStepIsRefused) {
  uint64_t points = 0;
  for (bool failed = true; failed; ++points) {
    SCOPED_TRACE("allocation " + std::to_string(points));
    const unsigned refused = live([&](uint64_t n) { return n == points; }, failed);
    EXPECT_EQ(refused, failed ? 1U : 0U);
  }
  EXPECT_GT(points, 5U) << "the table must have its points";
}

TEST(NoMemory, AllAllocationsFailFromSomePointOn) {
  uint64_t points = 0;
  for (bool failed = true; failed; ++points) {
    SCOPED_TRACE("allocation " + std::to_string(points));
    const unsigned refused = live([&](uint64_t n) { return n >= points; }, failed);
    EXPECT_EQ(refused != 0, failed);
  }
  EXPECT_GT(points, 5U) << "the table must have its points";
}

}  // namespace
}  // namespace jvpn::test
