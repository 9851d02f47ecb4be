// `jvpn trace` from the order to the answer: what the shipping workers note of one session's
// packets.
#include <algorithm>
#include <functional>
#include <optional>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "control/gateway/packet_tracing.h"
#include "dataplane/stage.h"
#include "tests/packet/worker_fixture.h"

namespace jvpn::test {
namespace {

using gateway::PacketTracing;
using Json = nlohmann::json;

constexpr PeerId kTraced{1};
constexpr PeerId kOther{2};

std::optional<PeerId> named(const std::string& name) {
  if (name == "laptop") return kTraced;
  return name == "desk" ? std::optional(kOther) : std::nullopt;
}

/// A lab with two sessions, and who orders traces.
struct TraceLab {
  explicit TraceLab(const LabOptions& options = {})
      : lab(options),
        view(lab.dataplane().view()),
        tracing(view),
        session(lab, {.peer = kTraced}),
        other(lab, {.peer = kOther}) {}

  uint64_t begin(uint64_t count = 20, uint64_t ms = 60'000) {
    const Json answer = tracing.answer(
        {{"command", "trace"}, {"peer", "laptop"}, {"count", count}, {"for_ms", ms}}, named);
    return answer["trace"]["order"];
  }
  Json ask(uint64_t order, bool end = false) {
    return tracing.answer({{"order", order}, {"end", end}}, named)["trace"];
  }
  Bytes inner(const IpAddress& from, const IpAddress& to) {
    return ip_packet(from, to, udp_datagram(2000, 1000, payload_of(20)));
  }
  void from_lan(const TestSession& to) {
    lab.receive(kLan,
                ip_frame(kPortMac, kHostMac, inner(address("10.0.0.2"), to.host(Family::kIpv4))));
  }
  Bytes from_peer(const TestSession& from, const char* to, uint64_t sequence) {
    return from.seal_at_peer(inner(from.host(Family::kIpv4), address(to)), 0, sequence);
  }

  Lab lab;
  DataplaneView view;
  PacketTracing tracing;
  TestSession session;
  TestSession other;
};

struct Case {
  const char* name;
  std::function<void(TraceLab&)> send;  ///< the packet that is looked at, the last of the session
  const char* way;
  const char* end;
  const char* stage;   ///< the last
  const char* reason;  ///< nullptr: none
};

const Case kCases[] = {
    {"sealed", [](TraceLab& t) { t.from_lan(t.session); }, "sealed", "sent", "tx", nullptr},
    {"opened", [](TraceLab& t) { t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 0)); },
     "opened", "sent", "tx", nullptr},
    {"for ourselves",
     [](TraceLab& t) { t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.1", 0)); }, "opened",
     "to_control", "route", nullptr},
    {"replayed",
     [](TraceLab& t) {
       t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 0));
       t.lab.poll();
       t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 0));
     },
     "opened", "dropped", "replay", "replay_duplicate"},
    {"changed",
     [](TraceLab& t) {
       Bytes frame = t.from_peer(t.session, "10.0.0.2", 0);
       frame.back() ^= 1;
       t.lab.receive(kWan, frame);
     },
     "opened", "dropped", "open", "bad_tag"},
    {"another's source",
     [](TraceLab& t) {
       const Bytes inner = t.inner(t.other.host(Family::kIpv4), address("10.0.0.2"));
       t.lab.receive(kWan, t.session.seal_at_peer(inner, 0, 0));
     },
     "opened", "dropped", "source", "inner_source"},
    {"to nowhere",
     [](TraceLab& t) { t.lab.receive(kWan, t.from_peer(t.session, "172.16.9.9", 0)); }, "opened",
     "dropped", "route", "no_route"},
    {"after the session's end",
     [](TraceLab& t) {
       t.session.tx().deadline_tsc = 1;
       t.from_lan(t.session);
     },
     "sealed", "dropped", "number", "session_expired"},
    {"next hop unknown",
     [](TraceLab& t) {
       t.session.hop().link = 0;
       t.from_lan(t.session);
     },
     "sealed", "dropped", "number", "next_hop_unresolved"},
    {"to another peer",
     [](TraceLab& t) {
       const Bytes inner = t.inner(t.session.host(Family::kIpv4), t.other.host(Family::kIpv4));
       t.lab.receive(kWan, t.session.seal_at_peer(inner, 0, 0));
     },
     "forwarded", "sent", "tx", nullptr},
};

TEST(PacketTrace, TellsTheStageAndTheReason) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    TraceLab t;
    const uint64_t order = t.begin();
    each.send(t);
    t.lab.poll();
    const Json trace = t.ask(order);
    ASSERT_FALSE(trace["packets"].empty()) << t.lab.drop_text();
    const Json packet = trace["packets"].back();
    EXPECT_EQ(packet["way"], each.way);
    EXPECT_EQ(packet["end"], each.end);
    EXPECT_EQ(packet["stages"].front(), "rx");
    EXPECT_EQ(packet["stages"].back(), each.stage) << packet;
    EXPECT_EQ(packet.value("reason", ""), each.reason == nullptr ? "" : each.reason);
    EXPECT_EQ(trace["done"], false);
  }
}

TEST(PacketTrace, StagesAreThoseOfTheDataPath) {
  const auto names = [](const auto& way) {
    Json all = Json::array();
    for (const Stage stage : way) all.push_back(kStageNames[static_cast<size_t>(stage)]);
    return all;
  };
  TraceLab t;
  const uint64_t order = t.begin();
  t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 0));
  t.lab.poll();
  t.from_lan(t.session);
  t.lab.poll();
  const Json packets = t.ask(order)["packets"];
  ASSERT_EQ(packets.size(), 2U);
  EXPECT_EQ(packets[0]["stages"], names(kOutsideToInside));
  EXPECT_EQ(packets[1]["stages"], names(kInsideToOutside));
}

TEST(PacketTrace, WhatWaitsInTheHoldWasNotSent) {
  TraceLab t({.hold_packets = 16});
  t.lab.sessions().set_hold_limits({.longest_tsc = UINT64_MAX / 2, .bytes = 1U << 20});
  t.lab.poll();
  t.lab.sessions().set_waits(kTraced, 1);
  t.lab.sessions().store_tx(kTraced, nullptr);
  const uint64_t order = t.begin();
  t.from_lan(t.session);
  t.lab.poll();
  const Bytes inner = t.inner(t.other.host(Family::kIpv4), t.session.host(Family::kIpv4));
  t.lab.receive(kWan, t.other.seal_at_peer(inner, 0, 0));
  t.lab.poll();
  const Json packets = t.ask(order)["packets"];
  ASSERT_EQ(packets.size(), 2U) << packets << t.lab.drop_text();
  for (const Json& packet : packets) {
    EXPECT_EQ(packet["end"], "held");
    EXPECT_EQ(packet["stages"], (Json{"rx", "classify", "route", "lookup"}));
  }
  t.lab.sessions().set_waits(kTraced, 0);
  for (int polls = 0; polls < 4; ++polls) t.lab.poll();
}

TEST(PacketTrace, OtherSessionsAndPacketsWithoutAnOrderAreNotNoted) {
  TraceLab t;
  t.from_lan(t.session);
  t.lab.poll();
  const uint64_t order = t.begin();
  t.from_lan(t.other);
  t.lab.receive(kWan, t.from_peer(t.other, "10.0.0.2", 0));
  t.lab.poll();
  EXPECT_TRUE(t.ask(order)["packets"].empty());
  EXPECT_EQ(t.lab.sent(kWan).size(), 2U);
  EXPECT_EQ(t.ask(order, true)["done"], true);
  t.from_lan(t.session);
  t.lab.poll();
  EXPECT_TRUE(t.view.traces[0]->packets.empty()) << "off, nothing is noted";
}

TEST(PacketTrace, EndsByItsCountAndByItsTime) {
  TraceLab t;
  const uint64_t counted = t.begin(3);
  for (int i = 0; i < 8; ++i) t.from_lan(t.session);
  t.lab.poll();
  const Json trace = t.ask(counted);
  EXPECT_EQ(trace["packets"].size(), 3U);
  EXPECT_EQ(trace["done"], true);
  const uint64_t timed = t.begin(20, 1);
  const uint64_t over = rte_rdtsc() + rte_get_tsc_hz() / 500;
  while (rte_rdtsc() < over) rte_pause();
  t.from_lan(t.session);
  t.lab.poll();
  EXPECT_TRUE(t.view.traces[0]->packets.empty()) << "a worker doesn't wait for control to end it";
  EXPECT_EQ(t.ask(timed)["done"], true);
  EXPECT_EQ(t.lab.sent(kWan).size(), 9U) << "traced or not, they are carried";
}

TEST(PacketTrace, WhatAnotherWorkerOwnsIsTracedAtBoth) {
  TraceLab t({.workers = 2});
  const uint64_t order = t.begin();
  t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 0), 0);
  t.lab.poll();
  t.lab.receive(kWan, t.from_peer(t.session, "10.0.0.2", 1), 1);
  t.lab.poll();
  t.lab.poll();
  const Json packets = t.ask(order)["packets"];
  ASSERT_EQ(packets.size(), 3U) << packets;
  EXPECT_EQ(packets[1]["end"], "handed_off");
  EXPECT_EQ(packets[1]["worker"], 1);
  EXPECT_EQ(packets[2]["handed_on"], true);
  EXPECT_EQ(packets[2]["worker"], 0);
  EXPECT_EQ(packets[2]["stages"].front(), "lookup");
  EXPECT_EQ(packets[2]["end"], "sent");
}

TEST(PacketTrace, ANewOrderTakesThePlaceOfTheOther) {
  TraceLab t;
  const uint64_t first = t.begin();
  t.from_lan(t.session);
  t.lab.poll();
  const uint64_t second = t.begin();
  EXPECT_NE(first, second);
  EXPECT_NE(
      t.tracing.answer({{"order", first}}, named)["error"].get<std::string>().find("another trace"),
      std::string::npos);
  EXPECT_TRUE(t.ask(second)["packets"].empty()) << "the former order's";
}

TEST(PacketTrace, RefusesWhatItCantDo) {
  TraceLab t;
  const Json wrong[] = {{{"peer", 7}},
                        {{"peer", "nobody"}},
                        {{"peer", "laptop"}, {"count", 0}},
                        {{"peer", "laptop"}, {"count", kMostTraced + 1}},
                        {{"peer", "laptop"}, {"for_ms", -1}},
                        {{"order", 1}},
                        {{"order", "x"}}};
  for (const Json& request : wrong)
    EXPECT_TRUE(t.tracing.answer(request, named).contains("error")) << request;
  EXPECT_EQ(t.view.traces[0]->order.load(), 0U);
}

}  // namespace
}  // namespace jvpn::test
