// A world of a client and a gateway, one of which holds the numbered packets that it sends, as data
// paths do: which of them arrive, how often and in what order.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/lane_report.h"
#include "tests/support/jumper.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline void hold(EngineConfig& config) {
  config.policy.switching.hold = Millis{60'000};
  config.policy.switching.hold_bytes = 1;
}

/// Node `sender` sends numbered packets to the other one, and holds them. By default both have a
/// policy that holds; 0 is the client.
struct Holder : Jumper {
  static constexpr size_t kMost = 4'000;

  struct Held {
    uint64_t number = 0;
    ReceiverIndex index;
    uint64_t counter = 0;
    bool waits = false;
  };

  explicit Holder(uint64_t seed = 1, bool warm = false, size_t from = 0,
                  const std::set<size_t>& holders = {0, 1})
      : Jumper(
            seed,
            [&](size_t node, EngineConfig& config) {
              if (holders.contains(node)) hold(config);
              config.rekey_after = Millis{40'000};
            },
            warm),
        sender(from) {
    node(sender).on_settle = [this](std::span<const LaneReport> reports) { settle(reports); };
    node(1 - sender).on_data = [this](ReceiverIndex index, uint64_t counter) {
      const uint64_t each = numbers.at({index.value, counter});
      EXPECT_TRUE(arrived.insert(each).second) << each << " came twice";
      EXPECT_TRUE(each > highest || holes.contains(each)) << each << " came late";
      highest = std::max(highest, each);
    };
  }

  /// One more packet a millisecond, for `span`.
  void flow(Millis span) {
    for (const Millis end = now + span; now < end;) {
      held.push_back({++number, {}, 0, true});
      send_waiting();
      // What is old goes, as from any hold.
      for (; held.size() > kMost && !held.front().waits; held.pop_front())
        let_go.insert(held.front().number);
      run_for(Millis{1});
    }
  }
  void send_waiting() {
    if (node(sender).tx.empty()) return;
    for (Held& each : held) {
      if (!each.waits) continue;
      const TxInstall install = node(sender).tx.begin()->second;
      node(sender).send_data(kPeer);
      wire::TransportHeader header;
      __builtin_memcpy(&header, sent.back().bytes.data(), sizeof header);
      each = {each.number, ReceiverIndex{header.receiver}, header.counter ^ install.data_mask,
              false};
      numbers[{header.receiver, each.counter}] = each.number;
    }
    sent.clear();
  }
  void settle(std::span<const LaneReport> reports) {
    ++settled;
    std::deque<Held> kept;
    for (Held& each : held) {
      const auto report = std::ranges::find(reports, each.index, &LaneReport::index);
      const Receipt receipt =
          each.waits ? Receipt::kMissing
          : report == reports.end()
              ? Receipt::kUnknown
              : report->receipt(wire::lane_of(each.counter), wire::sequence_of(each.counter));
      if (receipt != Receipt::kMissing) let_go.insert(each.number);
      if (receipt == Receipt::kMissing && !each.waits) note_hole(*report, each);
      each.waits = true;
      if (receipt == Receipt::kMissing) kept.push_back(each);
    }
    held = std::move(kept);
  }
  /// Missing, though later ones of its lane arrived: the path had lost it before it died.
  void note_hole(const LaneReport& report, const Held& missing) {
    const auto lane =
        std::ranges::find(report.lanes, wire::lane_of(missing.counter), &ReceivedLane::lane);
    const bool behind =
        lane != report.lanes.end() && wire::sequence_of(missing.counter) < lane->next;
    if (behind) holes.insert(missing.number);
  }
  /// Let go, and they never arrived.
  size_t lost() const {
    return static_cast<size_t>(
        std::ranges::count_if(let_go, [&](uint64_t each) { return !arrived.contains(each); }));
  }
  /// Those that neither arrived nor were let go, nor are held.
  std::vector<uint64_t> missing() const {
    std::vector<uint64_t> none;
    for (uint64_t each = 1; each <= number; ++each) {
      const bool kept = std::ranges::find(held, each, &Held::number) != held.end();
      if (!arrived.contains(each) && !let_go.contains(each) && !kept) none.push_back(each);
    }
    return none;
  }

  size_t sender;
  std::deque<Held> held;
  uint64_t number = 0;
  uint64_t highest = 0;
  size_t settled = 0;
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> numbers;
  std::set<uint64_t> arrived;
  std::set<uint64_t> let_go;  ///< by whatever we were told, or too old
  std::set<uint64_t> holes;
};

/// All that was sent arrived, once.
inline void expect_whole(const Holder& world) {
  EXPECT_EQ(world.arrived.size(), world.number);
  EXPECT_EQ(world.lost(), 0U);
  EXPECT_TRUE(world.missing().empty());
}

/// Two paths die under a flow, one after the other: all arrives, once. `warm`: after candidates
/// have been probed.
inline void expect_two_deaths_survived(Holder& world, bool warm) {
  world.run_for(Millis{warm ? 30'000U : 0U});
  world.flow(Millis{1'000});
  for (const size_t network : {size_t{0}, size_t{1}}) {
    world.cut = {network};
    world.flow(Millis{5'000});
    EXPECT_NE(world.network_of(0), network);
    world.cut = {};
    world.flow(Millis{2'000});
  }
  world.run_for(Millis{50});
  EXPECT_EQ(world.settled, 2U);
  expect_whole(world);
}

}  // namespace jvpn::test
