// While control stands still its workers answer who asks for the gateway's addresses; else they
// leave that to it.
#include "dataplane/link_answers.h"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/neighbor/arp.h"
#include "control/neighbor/nd.h"
#include "tests/packet/worker_fixture.h"

namespace jvpn::test {
namespace {

using neighbor::ArpMessage;
using neighbor::NdMessage;

const EtherAddress kAsker{0x02, 0, 0, 0, 0x77, 0x01};
const EtherAddress kOwn{0x02, 0, 0, 0, 0x55, 0x02};

class LinkAnswersTest : public testing::Test {
 protected:
  /// Who has `target`?
  Bytes arp_for(const char* target) const {
    Bytes frame(neighbor::kArpFrameBytes);
    ArpMessage question;
    question.sender_mac = kAsker;
    question.sender = address("192.0.2.2");
    question.target = address(target);
    neighbor::write_arp_frame(std::span<uint8_t, neighbor::kArpFrameBytes>(frame),
                              neighbor::kEverybody, question);
    return frame;
  }
  Bytes solicitation_for(const char* target, const char* source = "2001:db8::2") const {
    Bytes frame(neighbor::kNdFrameBytes);
    NdMessage question;
    question.source = address(source);
    question.target = address(target);
    question.destination = neighbor::solicited_node_group(question.target);
    question.link_layer = kAsker;
    neighbor::write_nd_frame(std::span<uint8_t, neighbor::kNdFrameBytes>(frame),
                             neighbor::ethernet_group_of(question.destination), question);
    return frame;
  }
  /// As the lab's port, whose own address is all zeros.
  PortView port_view() {
    PortInfo port = lab_.dataplane().ports()[kWan];
    port.mac = kOwn;
    return PortView(port, 51'900);
  }
  /// The answer that is made of it.
  Bytes answered(Bytes frame) {
    const auto bytes = static_cast<uint32_t>(frame.size());
    EXPECT_TRUE(link_answers::answer(port_view(), frame.data(), bytes));
    return frame;
  }
  void control_was_here(uint64_t ago_ms) {
    lab_.sessions().note_control(rte_rdtsc() - ago_ms * (rte_get_tsc_hz() / 1'000));
  }
  /// What leaves by the port after `frame` came in there.
  std::vector<Bytes> answers(const Bytes& frame) {
    lab_.receive(kWan, frame);
    lab_.poll();
    return lab_.sent(kWan);
  }
  size_t left_to_control() { return lab_.punted(PuntClass::kSlowPath).size(); }

  Lab lab_;
};

TEST_F(LinkAnswersTest, WorkersAnswerWhileControlStandsStill) {
  control_was_here(2'000);
  for (const Bytes& question : {arp_for("192.0.2.1"), solicitation_for("2001:db8::1")}) {
    const auto sent = answers(question);
    ASSERT_EQ(sent.size(), 1U) << lab_.drop_text();
    EXPECT_NE(sent[0], question);
    EXPECT_EQ(sent[0].size(), question.size());
  }
  EXPECT_EQ(left_to_control(), 0U);
}

TEST_F(LinkAnswersTest, ArpTellsTheAskerOurAddress) {
  const Bytes frame = answered(arp_for("192.0.2.1"));
  EXPECT_TRUE(std::equal(kAsker.begin(), kAsker.end(), frame.begin()));
  EXPECT_TRUE(std::equal(kOwn.begin(), kOwn.end(), frame.begin() + 6));
  const auto answer = neighbor::parse_arp(std::span(frame).subspan(kEthernetHeaderBytes));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->operation, ArpMessage::Operation::kReply);
  EXPECT_EQ(answer->sender, address("192.0.2.1"));
  EXPECT_EQ(answer->sender_mac, kOwn);
  EXPECT_EQ(answer->target, address("192.0.2.2"));
  EXPECT_EQ(answer->target_mac, kAsker);
}

TEST_F(LinkAnswersTest, AnAdvertisementTellsTheAskerOurAddress) {
  const Bytes frame = answered(solicitation_for("2001:db8::1"));
  EXPECT_TRUE(std::equal(kAsker.begin(), kAsker.end(), frame.begin()));
  const auto answer = neighbor::parse_nd(std::span(frame).subspan(kEthernetHeaderBytes));
  ASSERT_TRUE(answer.has_value()) << "every check of RFC 4861, §7.1";
  EXPECT_EQ(answer->type, NdMessage::Type::kAdvertisement);
  EXPECT_TRUE(answer->solicited);
  EXPECT_TRUE(answer->override);
  EXPECT_EQ(answer->source, address("2001:db8::1"));
  EXPECT_EQ(answer->destination, address("2001:db8::2"));
  EXPECT_EQ(answer->target, address("2001:db8::1"));
  ASSERT_TRUE(answer->link_layer.has_value());
  EXPECT_EQ(*answer->link_layer, kOwn);
}

TEST_F(LinkAnswersTest, ControlAnswersWhatItCan) {
  for (const uint64_t ago_ms : {0, 300}) {
    control_was_here(ago_ms);
    EXPECT_TRUE(answers(arp_for("192.0.2.1")).empty());
    EXPECT_TRUE(answers(solicitation_for("2001:db8::1")).empty());
    EXPECT_EQ(left_to_control(), 2U);
  }
}

TEST_F(LinkAnswersTest, ControlThatHasNeverBeenThereIsNotAway) {
  EXPECT_TRUE(answers(arp_for("192.0.2.1")).empty());
  EXPECT_EQ(left_to_control(), 1U);
}

/// Everything else waits for control, as it was.
TEST_F(LinkAnswersTest, OnlyOwnAddressesAndSoundQuestionsAreAnswered) {
  Bytes bad_sum = solicitation_for("2001:db8::1");
  bad_sum[kEthernetHeaderBytes + kIpv6HeaderBytes + 2] ^= 1;
  Bytes reply = arp_for("192.0.2.1");
  reply[kEthernetHeaderBytes + 7] = 2;
  const PortView port = port_view();
  const std::vector<Bytes> others{arp_for("192.0.2.7"), reply, solicitation_for("2001:db8::7"),
                                  bad_sum, solicitation_for("2001:db8::1", "::")};
  for (size_t at = 0; at < others.size(); ++at) {
    Bytes frame = others[at];
    EXPECT_FALSE(link_answers::answer(port, frame.data(), static_cast<uint32_t>(frame.size())))
        << at;
    EXPECT_EQ(frame, others[at]) << at;
  }
}

/// Nothing is read or written beyond the end, whatever stands there, and whatever is cut off.
TEST_F(LinkAnswersTest, FramesOfAnyLengthAndContentAreBorne) {
  const PortView port = port_view();
  const std::vector<Bytes> whole{arp_for("192.0.2.1"), solicitation_for("2001:db8::1")};
  std::mt19937_64 random(run_seed());
  for (int round = 0; round < rounds(20'000); ++round) {
    Bytes frame = whole[random() % whole.size()];
    frame.resize(random() % (frame.size() + 1));
    const bool cut = frame.size() < whole[0].size();
    for (auto change = random() % 3; change > 0 && !frame.empty(); --change)
      frame[random() % frame.size()] = static_cast<uint8_t>(random());
    frame.shrink_to_fit();
    const size_t bytes = frame.size();
    const bool answered = link_answers::answer(port, frame.data(), static_cast<uint32_t>(bytes));
    EXPECT_FALSE(answered && cut);
  }
}

}  // namespace
}  // namespace jvpn::test
