// Packets through the shipping worker, both ways, with OpenSSL as the peer: contents, order,
// replays, routes between peers.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/packet/inner_packets.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr Suite kSuites[]{Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};

struct Transport {
  Suite suite;
  Family outer;
  Family inner;
};

std::vector<Transport> all_transports() {
  std::vector<Transport> all;
  for (const Suite suite : kSuites)
    for (const Family outer : kFamilies)
      for (const Family inner : kFamilies) all.push_back({suite, outer, inner});
  return all;
}

class EveryTransport : public testing::TestWithParam<Transport> {};
INSTANTIATE_TEST_SUITE_P(Suites, EveryTransport, testing::ValuesIn(all_transports()),
                         [](const auto& test) {
                           return "suite" + std::to_string(static_cast<int>(test.param.suite)) +
                                  "_v" + std::to_string(static_cast<int>(test.param.outer)) +
                                  "_in_v" + std::to_string(static_cast<int>(test.param.inner));
                         });

TEST_P(EveryTransport, seals_what_openssl_opens_bit_for_bit) {
  const auto& [suite, outer, family] = GetParam();
  Lab lab;
  TestSession session(lab, {.suite = suite, .outer = outer});
  std::mt19937_64 random(run_seed());
  uint64_t sequence = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Bytes> packets;
    for (uint64_t n = 1 + random() % 40; n > 0; --n)
      packets.push_back(from_host(session, family, random() % 1'360, static_cast<uint8_t>(n)));
    for (const Bytes& packet : packets) lab.receive(kLan, lan_frame(packet));
    while (lab.poll() != 0) {
    }
    const auto sent = lab.sent(kWan);
    ASSERT_EQ(sent.size(), packets.size()) << lab.drop_text();
    for (size_t i = 0; i < sent.size(); ++i) {
      const auto opened = session.open_at_peer(sent[i]);
      ASSERT_TRUE(opened.has_value());
      EXPECT_EQ(opened->inner, forwarded(packets[i]));
      EXPECT_EQ(opened->sequence, sequence++);
      EXPECT_EQ(opened->lane, 0);
    }
  }
  EXPECT_EQ(session.tx_lane(0).next_sequence.load(), sequence);
  EXPECT_EQ(lab.total(&WorkerCounters::sealed), sequence);
}

TEST_P(EveryTransport, opens_what_openssl_sealed) {
  const auto& [suite, outer, family] = GetParam();
  Lab lab;
  TestSession session(lab, {.suite = suite, .outer = outer});
  std::mt19937_64 random(run_seed());
  uint64_t sequence = 0;
  uint64_t bytes = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Bytes> packets;
    for (uint64_t n = 1 + random() % 40; n > 0; --n) {
      packets.push_back(from_peer(session, family, random() % 1'360, static_cast<uint8_t>(n)));
      bytes += packets.back().size();
      lab.receive(kWan, session.seal_at_peer(packets.back(), 1, sequence++));
    }
    while (lab.poll() != 0) {
    }
    const auto sent = lab.sent(kLan);
    ASSERT_EQ(sent.size(), packets.size()) << lab.drop_text();
    for (size_t i = 0; i < sent.size(); ++i)
      EXPECT_EQ(sent[i], ip_frame(kHostMac, Mac48{}, forwarded(packets[i])));
  }
  EXPECT_EQ(session.rx_lane(1).packets.load(), sequence);
  EXPECT_EQ(session.rx_lane(1).bytes.load(), bytes);
  EXPECT_EQ(session.rx_lane(1).owner.load(), 0U);
  EXPECT_NE(session.rx_lane(1).last_tsc.load(), 0U);
  EXPECT_EQ(session.rx_lane(0).owner.load(), RxLane::kUnclaimed);
}

/// Frames of different hosts may overtake each other within a burst, those of one never.
std::vector<Bytes> by_flow(std::vector<Bytes> frames) {
  const auto source = [](const Bytes& frame) {
    const bool v4 = frame[14] >> 4 == 4;
    const auto from = frame.begin() + (v4 ? 26 : 22);
    return Bytes(from, from + (v4 ? 4 : 16));
  };
  std::ranges::stable_sort(frames, {}, source);
  return frames;
}

/// Tables for few sessions and for very many: workers fetch ahead in other ways.
class MixedBursts : public testing::TestWithParam<uint32_t> {
 protected:
  MixedBursts() : lab_({.peers = GetParam()}) {
    for (uint32_t peer = 0; peer < 12; ++peer)
      sessions_.push_back(std::make_unique<TestSession>(
          lab_,
          SessionSpec{
              .peer = PeerId{peer}, .suite = kSuites[peer % 3], .outer = kFamilies[peer / 3 % 2]}));
  }
  const TestSession& any() { return *sessions_[random_() % sessions_.size()]; }
  /// A data message to a receiver that nobody is.
  Bytes stray() {
    wire::TransportHeader header{};
    header.type = wire::MessageType::kData;
    header.receiver = static_cast<uint32_t>(random_());
    Bytes message(sizeof header + 80);
    std::memcpy(message.data(), &header, sizeof header);
    return message;
  }
  /// By the receiver that the frame is for.
  const TestSession& session_of(const Bytes& frame) const {
    const bool v4 = get16(frame, 12) == kIpv4Type;
    wire::TransportHeader header;
    std::memcpy(&header, &frame[(v4 ? kTunnelV4 : kTunnelV6).transport], sizeof header);
    return *sessions_.at(header.receiver & 0xFFFF);
  }

  Lab lab_;
  std::vector<std::unique_ptr<TestSession>> sessions_;
  std::mt19937_64 random_{run_seed()};
};
INSTANTIATE_TEST_SUITE_P(Peers, MixedBursts, testing::Values(64, 65'536));

TEST_P(MixedBursts, are_opened) {
  uint64_t strays = 0;
  for (uint64_t round = 0; round < 50; ++round) {
    std::vector<Bytes> expected;
    for (uint64_t n = 0; n < 32; ++n) {
      const TestSession& session = any();
      if (random_() % 8 == 0) {
        lab_.receive(kWan, session.frame_at_peer(stray()));
        ++strays;
        continue;
      }
      const Bytes packet = from_peer(session, kFamilies[random_() % 2], random_() % 1'300);
      expected.push_back(ip_frame(kHostMac, Mac48{}, forwarded(packet)));
      lab_.receive(kWan, session.seal_at_peer(packet, 0, round * 32 + n));
    }
    lab_.poll();
    EXPECT_EQ(by_flow(lab_.sent(kLan)), by_flow(std::move(expected))) << lab_.drop_text();
  }
  EXPECT_EQ(lab_.drops(Drop::kUnknownIndex), strays);
  EXPECT_EQ(lab_.all_drops(), strays);
}

TEST_P(MixedBursts, are_sealed) {
  for (int round = 0; round < 50; ++round) {
    std::map<const TestSession*, std::vector<Bytes>> expected;
    for (int n = 0; n < 32; ++n) {
      const TestSession& session = any();
      const Bytes packet = from_host(session, kFamilies[random_() % 2], random_() % 1'300);
      expected[&session].push_back(forwarded(packet));
      lab_.receive(kLan, lan_frame(packet));
    }
    lab_.poll();
    std::map<const TestSession*, std::vector<Bytes>> opened;
    for (const Bytes& frame : lab_.sent(kWan)) {
      const TestSession& session = session_of(frame);
      const auto packet = session.open_at_peer(frame);
      ASSERT_TRUE(packet.has_value());
      opened[&session].push_back(packet->inner);
    }
    for (auto* packets : {&expected, &opened})
      for (auto& [session, list] : *packets) std::ranges::sort(list);
    EXPECT_EQ(opened, expected) << lab_.drop_text();
  }
}

TEST(Transport, replays_are_dropped_by_name_and_reordering_is_not) {
  Lab lab;
  TestSession session(lab, {});
  const auto deliver = [&](uint64_t sequence) {
    lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 20), 2, sequence));
    lab.poll();
    return lab.sent(kLan).size();
  };
  constexpr uint64_t kWindow = kReplayWindowBits - 1;  // behind the highest
  struct Step {
    uint64_t sequence;
    size_t delivered;
    Drop drop;
  };
  const std::vector<Step> steps{
      {0, 1, Drop::kCount},
      {0, 0, Drop::kReplayDuplicate},
      {5, 1, Drop::kCount},
      {3, 1, Drop::kCount},
      {3, 0, Drop::kReplayDuplicate},
      {5, 0, Drop::kReplayDuplicate},
      {kWindow + 5, 1, Drop::kCount},  // 5 is the last in the window now
      {5, 0, Drop::kReplayDuplicate},
      {4, 0, Drop::kReplayTooOld},  // never seen, behind the window
      {6, 1, Drop::kCount},
      {10 * kWindow, 1, Drop::kCount},
      {9 * kWindow - 1, 0, Drop::kReplayTooOld},
      {9 * kWindow, 1, Drop::kCount},
      {9 * kWindow, 0, Drop::kReplayDuplicate},
      {wire::kSequenceMask, 1, Drop::kCount},
      {wire::kSequenceMask, 0, Drop::kReplayDuplicate},
  };
  std::array<uint64_t, kDropCount> expected{};
  for (const Step& step : steps) {
    EXPECT_EQ(deliver(step.sequence), step.delivered) << "sequence " << step.sequence;
    if (step.drop != Drop::kCount) ++expected[static_cast<size_t>(step.drop)];
    for (size_t reason = 0; reason < kDropCount; ++reason)
      EXPECT_EQ(lab.drops(static_cast<Drop>(reason)), expected[reason])
          << kDropInfo[reason].name << " after sequence " << step.sequence;
  }
}

TEST(Transport, duplicates_within_one_burst_are_delivered_once) {
  Lab lab;
  TestSession session(lab, {});
  const Bytes frame = session.seal_at_peer(from_peer(session, Family::kIpv4, 50), 0, 9);
  for (int i = 0; i < 32; ++i) lab.receive(kWan, frame);
  lab.poll();
  EXPECT_EQ(lab.sent(kLan).size(), 1U);
  EXPECT_EQ(lab.drops(Drop::kReplayDuplicate), 31U);
}

TEST(Transport, a_shuffled_window_is_delivered_once_each) {
  Lab lab;
  TestSession session(lab, {});
  std::mt19937_64 random(run_seed());
  std::vector<uint64_t> sequences(2'000);
  for (size_t i = 0; i < sequences.size(); ++i) sequences[i] = i;
  for (int copies = 0; copies < 2; ++copies) {
    std::shuffle(sequences.begin(), sequences.end(), random);
    for (const uint64_t sequence : sequences) {
      lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 20), 0, sequence));
      if (random() % 16 == 0) lab.poll();
      if (rte_ring_count(lab.rx_ring(kWan, 0)) > 1'000)
        while (lab.poll() != 0) {
        }
    }
    while (lab.poll() != 0) {
    }
    EXPECT_EQ(lab.sent(kLan).size(), copies == 0 ? sequences.size() : 0U);
  }
  EXPECT_EQ(lab.drops(Drop::kReplayDuplicate), sequences.size());
}

TEST(Transport, bad_tags_leave_the_window_alone) {
  Lab lab;
  TestSession session(lab, {});
  Bytes forged = session.seal_at_peer(from_peer(session, Family::kIpv4, 50), 3, 1'000'000);
  forged.back() ^= 1;
  lab.receive(kWan, forged);
  lab.poll();
  EXPECT_EQ(lab.drops(Drop::kBadTag), 1U);
  EXPECT_EQ(session.rx_lane(3).owner.load(), RxLane::kUnclaimed);
  lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 50), 3, 0));
  lab.poll();
  EXPECT_EQ(lab.sent(kLan).size(), 1U);
}

TEST(Transport, barred_lanes_of_a_record_with_a_floor) {
  Lab lab;
  TestSession session(lab, {.rx_lanes = 2, .rx_first_lane = 6});
  const auto deliver = [&](uint16_t lane) {
    lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 9), lane, 1));
    lab.poll();
    return lab.sent(kLan).size();
  };
  EXPECT_EQ(deliver(5), 0U);
  EXPECT_EQ(deliver(6), 1U);
  EXPECT_EQ(deliver(7), 1U);
  EXPECT_EQ(deliver(8), 0U);
  EXPECT_EQ(deliver(0), 0U);
  EXPECT_EQ(lab.drops(Drop::kLaneUnknown), 3U);
}

TEST(Transport, peers_reach_each_other_through_the_gateway) {
  Lab lab;
  TestSession left(lab, {.peer = PeerId{3}, .suite = Suite::kChaCha20Poly1305});
  TestSession right(lab, {.peer = PeerId{4}, .outer = Family::kIpv6});
  for (const Family family : kFamilies) {
    const Bytes packet = ip_packet(left.host(family), right.host(family), payload_of(200));
    lab.receive(kWan, left.seal_at_peer(packet, 0, family == Family::kIpv4 ? 0 : 1));
    lab.poll();
    const auto sent = lab.sent(kWan);
    ASSERT_EQ(sent.size(), 1U) << lab.drop_text();
    const auto opened = right.open_at_peer(sent[0]);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->inner, forwarded(packet));
  }
}

TEST(Transport, sending_stops_by_name) {
  constexpr size_t kShort = 58;
  constexpr size_t kLong = 1'028;
  Lab lab;
  TestSession session(lab, {.quota = gcm_blocks(4, kLong + 3 * kShort)});
  const Bytes frame = lan_frame(from_host(session, Family::kIpv4, kShort - 28));
  const Bytes large = lan_frame(from_host(session, Family::kIpv4, kLong - 28));
  for (int i = 0; i < 2; ++i) lab.receive(kLan, large);  // the second one's blocks are too many
  for (int i = 0; i < 5; ++i) lab.receive(kLan, frame);
  lab.poll();
  EXPECT_EQ(lab.sent(kWan).size(), 4U);
  EXPECT_EQ(lab.drops(Drop::kKeyExhausted), 3U);

  session.tx().deadline_tsc = 1;
  lab.receive(kLan, frame);
  lab.poll();
  EXPECT_EQ(lab.drops(Drop::kSessionExpired), 1U);

  lab.sessions().store_tx(session.spec().peer, nullptr);
  lab.receive(kLan, frame);
  lab.poll();
  EXPECT_EQ(lab.drops(Drop::kNoBinding), 1U);
  EXPECT_TRUE(lab.sent(kWan).empty());
}

TEST(Transport, a_port_that_takes_no_more) {
  Lab lab({.port_ring = 40});
  TestSession session(lab, {});
  const Bytes frame = lan_frame(from_host(session, Family::kIpv4, 30));
  for (int burst = 0; burst < 2; ++burst) {
    for (int i = 0; i < 32; ++i) lab.receive(kLan, frame);
    lab.poll();
  }
  EXPECT_EQ(lab.sent(kWan).size(), 40U);
  EXPECT_EQ(lab.drops(Drop::kTxFull), 24U);
}

}  // namespace
}  // namespace jvpn::test
