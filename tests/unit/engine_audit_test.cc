// Audits that fail: a data path that isn't as it was told to be ends its session, by a name of its
// own.
#include <gtest/gtest.h>

#include "tests/support/jumper.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

struct Fault {
  const char* name;
  void (*plant)(Published&);
  Detail detail;
};

const Fault kFaults[] = {
    {"a second index takes packets",
     [](Published& published) {
       published.rx.push_back({ReceiverIndex{0x7777}, LaneId{0}, 1});
     },
     Detail::kSecondBinding},
    {"more indices take packets than there may be",
     [](Published& published) {
       const PublishedRx ours = published.rx[0];
       while (!published.rx.more()) published.rx.push_back(ours);
     },
     Detail::kSecondBinding},
    {"the send side is the old one",
     [](Published& published) { published.tx->path = path_between(0, 1, 0); },
     Detail::kStaleRecord},
    {"the send side names another index",
     [](Published& published) { published.tx->peer_index = ReceiverIndex{0x7777}; },
     Detail::kStaleRecord},
    {"the send side has an older version",
     [](Published& published) { published.tx->binding_version = BindingVersion{1}; },
     Detail::kStaleRecord},
    {"the send side's lanes are others",
     [](Published& published) { ++published.tx->first_lane.value; }, Detail::kStaleRecord},
    {"the next hop's address is an old one",
     [](Published& published) { published.tx->next_hop_known = false; }, Detail::kStaleRecord},
    {"nothing is sent", [](Published& published) { published.tx.reset(); }, Detail::kStaleRecord},
    {"no index takes packets", [](Published& published) { published.rx.clear(); },
     Detail::kStaleRecord},
    {"the indices have other lanes",
     [](Published& published) {
       for (PublishedRx& rx : published.rx) rx.first_lane.value += 100;
     },
     Detail::kStaleRecord},
};

TEST(InvariantAudit, WhatIsPublishedMustBeTheRecord) {
  for (const size_t end : {size_t{0}, size_t{1}}) {
    for (const Fault& fault : kFaults) {
      SCOPED_TRACE(std::string(fault.name) + ", node " + std::to_string(end));
      Jumper world;
      test::Node& node = world.node(end);
      node.plant = fault.plant;
      world.lose(0);
      world.run_for(Millis{20});
      ASSERT_EQ(count_reason(node, EventKind::kAuditEvent, Reason::kAuditInvariantViolated), 1U);
      const auto audits = node.events_of(EventKind::kAuditEvent);
      const auto told = std::ranges::find(audits, Reason::kAuditInvariantViolated, &Event::reason);
      EXPECT_EQ(told->detail, fault.detail);
      EXPECT_STREQ(told->check, "single_active");
      EXPECT_STREQ(told->result, "violated");
      EXPECT_EQ(node.changes().back(),
                std::string("ATTACHED>TERMINATED FATAL_PROTOCOL_ERROR:") + to_string(fault.detail));
      EXPECT_EQ(count_reason(node, EventKind::kAuditEvent, Reason::kAuditInvariantOkSingleActive),
                0U);
      EXPECT_TRUE(node.tx.empty());
    }
  }
}

/// Of a send side for which there was no memory the host tells by itself, with that reason.
TEST(InvariantAudit, ARefusedSendSideIsNoViolation) {
  Jumper world;
  world.node(1).plant = [](Published& published) {
    published.tx.reset();
    published.refused = true;
  };
  world.lose(0);
  world.run_for(Millis{20});
  EXPECT_EQ(
      count_reason(world.node(1), EventKind::kAuditEvent, Reason::kAuditInvariantOkSingleActive),
      1U);
  EXPECT_EQ(world.node(1).session().state, State::kAttached);
}

}  // namespace
}  // namespace jvpn
