// Packets of unknown indices, which may have been a session's, and resets: what control hears of
// them.
#include <cstring>

#include <rte_cycles.h>
#include <rte_ring_elem.h>

#include "common/source_signal.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::MessageType;

constexpr uint32_t kUnknown = 0x7654'3210;

class ResetPackets : public testing::Test {
 protected:
  Bytes message(MessageType type, uint32_t index, size_t bytes) const {
    Bytes made(bytes);
    made[0] = static_cast<uint8_t>(type);
    std::memcpy(&made[offsetof(wire::TransportHeader, receiver)], &index, sizeof index);
    return made;
  }
  void receive(const TestSession& by, const Bytes& message) {
    lab.receive(kWan, by.frame_at_peer(message));
    while (lab.poll() != 0) {
    }
  }
  std::vector<SourceSignal> signals() {
    std::vector<SourceSignal> all;
    SourceSignal each;
    while (rte_ring_sc_dequeue_elem(lab.dataplane().rings(0).unknown, &each, sizeof each) == 0)
      all.push_back(each);
    return all;
  }

  Lab lab;
  TestSession v4{lab, {}};
  TestSession v6{lab, {.peer = PeerId{2}, .outer = Family::kIpv6}};
};

TEST_F(ResetPackets, ControlHearsWhereAnUnknownIndexCameFrom) {
  uint32_t index = kUnknown;
  uint64_t drops = 0;
  for (const TestSession* session : {&v4, &v6}) {
    for (const auto& [type, bytes] :
         {std::pair{MessageType::kData, 52U}, std::pair{MessageType::kData, 1'400U},
          std::pair{MessageType::kControl, 40U}}) {
      receive(*session, message(type, ++index, bytes));
      EXPECT_EQ(lab.drops(Drop::kUnknownIndex), ++drops);
      const auto heard = signals();
      ASSERT_EQ(heard.size(), 1U);
      const bool is_v4 = session == &v4;
      EXPECT_EQ(heard[0].serial, 0U);
      EXPECT_EQ(heard[0].receiver, index);
      EXPECT_EQ(heard[0].port, kWan);
      EXPECT_EQ(heard[0].remote_port, kPeerPort);
      EXPECT_EQ(heard[0].local_port, kListenPort);
      const IpAddress remote{heard[0].family, heard[0].remote};
      const IpAddress local{heard[0].family, heard[0].local};
      EXPECT_EQ(remote, address(is_v4 ? "192.0.2.2" : "2001:db8::2"));
      EXPECT_EQ(local, address(is_v4 ? "192.0.2.1" : "2001:db8::1"));
    }
  }
  EXPECT_EQ(lab.all_drops(), drops) << lab.drop_text();
}

TEST_F(ResetPackets, WhatIsShorterThanAResetIsHeardOfByNobody) {
  static_assert(sizeof(wire::Reset) <= kMinControl && sizeof(wire::Reset) <= kMinData);
  receive(v4, message(MessageType::kControl, kUnknown, sizeof(wire::Reset) - 1));
  EXPECT_EQ(lab.drops(Drop::kMessageLength), 1U);
  EXPECT_TRUE(signals().empty());
}

TEST_F(ResetPackets, AnIndexThatLivesIsHeardOfByNobodyWhateverComesUnderIt) {
  Bytes forged = v4.seal_at_peer(ip_packet(v4.host(Family::kIpv4), address("10.0.0.2"),
                                           udp_datagram(2000, 1000, payload_of(20))),
                                 0, 0);
  forged.back() ^= 1;
  lab.receive(kWan, forged);
  lab.poll();
  EXPECT_EQ(lab.drops(Drop::kBadTag), 1U);
  EXPECT_TRUE(signals().empty());
}

TEST_F(ResetPackets, AFloodUnderOneIndexLeavesTheRingToOthers) {
  constexpr size_t kFlood = 500;
  const uint64_t begun = rte_rdtsc();
  const Bytes flood = message(MessageType::kData, kUnknown, 100);
  for (size_t i = 0; i < kFlood; ++i) lab.receive(kWan, v4.frame_at_peer(flood));
  while (lab.poll() != 0) {
  }
  const uint64_t refilled = (rte_rdtsc() - begun) / (rte_get_tsc_hz() / kUnknownPerSecond) + 1;
  const size_t heard = signals().size();
  EXPECT_GE(heard, kUnknownBurst);
  EXPECT_LE(heard, kUnknownBurst + refilled);
  EXPECT_EQ(lab.drops(Drop::kUnknownIndex), kFlood);
  receive(v4, message(MessageType::kData, kUnknown + 1, 100));
  EXPECT_EQ(signals().size(), 1U);
}

TEST_F(ResetPackets, AFullRingLosesSignalsAndNothingElse) {
  constexpr size_t kIndices = 1'000;
  for (uint32_t i = 0; i < kIndices; ++i)
    receive(v4, message(MessageType::kData, kUnknown + i, 100));
  EXPECT_EQ(lab.drops(Drop::kUnknownIndex), kIndices);
  EXPECT_EQ(lab.all_drops(), kIndices) << lab.drop_text();
  EXPECT_EQ(signals().size(), rte_ring_get_capacity(lab.dataplane().rings(0).unknown));
}

/// Only who is sent to can have lost what it was sent; and nothing ever answers a reset.
TEST_F(ResetPackets, ResetsPassThatNameAnIndexWeSendTo) {
  const Bytes reset = message(MessageType::kReset, kUnknown, sizeof(wire::Reset));
  receive(v4, reset);
  receive(v4, message(MessageType::kReset, 0, sizeof(wire::Reset)));
  EXPECT_EQ(lab.drops(Drop::kUnawaitedAnswer), 2U);
  lab.sessions().note_sends_to(PeerId{7}, ReceiverIndex{kUnknown});
  for (const TestSession* session : {&v4, &v6}) {
    receive(*session, reset);
    const auto passed = lab.punted(PuntClass::kAnswer);
    ASSERT_EQ(passed.size(), 1U) << lab.drop_text();
    EXPECT_EQ(passed[0].note.peer, PeerId{7});
    EXPECT_EQ(passed[0].note.payload_bytes, sizeof(wire::Reset));
  }
  receive(v4, message(MessageType::kReset, kUnknown ^ 0x8000'0000, sizeof(wire::Reset)));
  EXPECT_EQ(lab.drops(Drop::kUnawaitedAnswer), 3U);
  EXPECT_TRUE(signals().empty());
  EXPECT_TRUE(lab.sent(kWan).empty());
}

TEST_F(ResetPackets, OneIndexTakesNoMoreThanItsShareOfAnswers) {
  constexpr size_t kFlood = 400;
  lab.sessions().note_sends_to(PeerId{7}, ReceiverIndex{kUnknown});
  const Bytes reset = message(MessageType::kReset, kUnknown, sizeof(wire::Reset));
  const uint64_t begun = rte_rdtsc();
  for (size_t i = 0; i < kFlood; ++i) lab.receive(kWan, v4.frame_at_peer(reset));
  while (lab.poll() != 0) {
  }
  const uint64_t refilled = (rte_rdtsc() - begun) / (rte_get_tsc_hz() / kAnswersPerSecond) + 1;
  const size_t passed = lab.punted(PuntClass::kAnswer).size();
  EXPECT_GE(passed, kAnswerBurst);
  EXPECT_LE(passed, kAnswerBurst + refilled);
  EXPECT_EQ(lab.drops(Drop::kControlRate), kFlood - passed);
}

TEST_F(ResetPackets, EveryPeerIsFoundByItsIndexAsLongAsPlacesAreLeft) {
  SessionTable& table = lab.sessions();
  const uint32_t peers = table.peers();
  // As their own tables number them: few slots, the upper bits at random.
  const auto index_of = [](uint32_t peer) { return (peer * 0x5851'F42DU) << 10 | (1 + peer % 32); };
  uint32_t found = 0;
  for (uint32_t i = 0; i < peers; ++i) {
    const ReceiverIndex index{index_of(i)};
    table.note_sends_to(PeerId{i}, index);
    const auto peer = table.sends_to(index.value);
    found += peer == PeerId{i} ? 1 : 0;
  }
  EXPECT_EQ(found, peers) << "the latest is always known";
  uint32_t kept = 0;
  for (uint32_t i = 0; i < peers; ++i) {
    kept += table.sends_to(index_of(i)) == PeerId{i} ? 1 : 0;
  }
  EXPECT_GT(kept, peers * 3 / 4);
}

}  // namespace
}  // namespace jvpn::test
