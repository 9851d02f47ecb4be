// What a gateway that lost a session, or never had it, says to who sends under its index: one short
// message within bounds, which ends nothing by itself.
#include <cstring>

#include "control/session/reset_tokens.h"
#include "tests/matrix/forger.h"
#include "tests/support/must.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using wire::MessageType;

size_t count(const Rig& rig, MessageType type, bool up) {
  return static_cast<size_t>(std::ranges::count_if(
      rig.sent, [&](const Datagram& each) { return each.up == up && each.type() == type; }));
}

Bytes data_under(uint32_t index, size_t bytes = 100) {
  Bytes message(bytes);
  message[0] = static_cast<uint8_t>(MessageType::kData);
  std::memcpy(&message[offsetof(wire::TransportHeader, receiver)], &index, sizeof index);
  return message;
}

/// As a gateway with that key makes it, now.
wire::Reset reset_by(const SecretKey& key, ReceiverIndex index) {
  MessageMac mac = must(MessageMac::create());
  const ResetTokens tokens(mac, key);
  const uint64_t period = reset_period(session::tai64n_now());
  wire::Reset message{};
  message.type = MessageType::kReset;
  message.receiver = index.value;
  message.token = tokens.of(index, period);
  message.earlier = tokens.of(index, period - 1);
  return message;
}

TEST(Reset, a_gateway_that_was_killed_has_its_client_back_at_once) {
  RigOptions options;
  options.policy.volatility.detection = Detection::kFixed;  // a heartbeat would draw another
  Rig rig(options);
  rig.connect();
  ASSERT_TRUE(rig.serves());
  const SessionId before = rig.at_gateway().id;
  rig.restart_gateway();
  ASSERT_TRUE(rig.client().send_echo());
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{100}));
  EXPECT_NE(rig.at_gateway().id, before);
  EXPECT_EQ(rig.at_client().id, rig.at_gateway().id);
  EXPECT_EQ(rig.client().events().count(EventKind::kKeyEvent, Reason::kKeysLost), 1U);
  EXPECT_TRUE(rig.serves());
  EXPECT_EQ(count(rig, MessageType::kReset, false), 1U);
}

TEST(Reset, a_session_that_ended_unheard_is_told_so) {
  Rig rig;
  rig.connect();
  const SessionId before = rig.at_gateway().id;
  rig.filter = [](const Datagram& each) { return each.up; };
  rig.gateway().engine().terminate(rig.now(), PeerId{0}, Detail::kPolicyHardStop);
  rig.run_for(Millis{20});
  rig.filter = nullptr;
  ASSERT_EQ(rig.at_client().id, before);
  ASSERT_TRUE(rig.client().send_echo());
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{100}));
  EXPECT_NE(rig.at_gateway().id, before);
}

TEST(Reset, of_strangers_each_network_gets_its_share_and_no_answer_is_longer) {
  constexpr uint32_t kFlood = 2'000;
  constexpr uint32_t kRate = 320;
  RigOptions options;
  options.clients = 2;
  options.adjust_gateway = [](EngineConfig& config) { config.handshakes_per_s = kRate; };
  Rig rig(options);
  rig.connect(0);
  rig.connect(1);
  const Still still(rig);
  const size_t before = rig.sent.size();
  const Millis begun = rig.now();
  for (uint32_t i = 0; i < kFlood; ++i) {
    rig.inject(
        rig.datagram_up(0, data_under(0x4000'0000U + (i << 10) + i % 1'000, 52 + i % 1'000)));
    if (i % 50 == 0) rig.run_for(Millis{1});
  }
  rig.run_for(Millis{20});
  const uint64_t seconds = (rig.now() - begun).value / 1'000 + 1;
  const size_t answers = count(rig, MessageType::kReset, false);
  EXPECT_GE(answers, kRate / 32);
  EXPECT_LE(answers, kRate / 32 * (1 + seconds));
  for (size_t i = before; i < rig.sent.size(); ++i) {
    if (rig.sent[i].type() == MessageType::kReset) {
      EXPECT_LE(rig.sent[i].bytes.size(), 52U);
    }
  }
  EXPECT_EQ(rig.gateway().drops(Drop::kUnknownIndex), kFlood);
  rig.inject(rig.datagram_up(0, data_under(0x3fff'fff1), 1));
  rig.run_for(Millis{20});
  EXPECT_EQ(count(rig, MessageType::kReset, false), answers + 1) << "another network has its own";
  still.expect();
}

TEST(Reset, what_lives_or_is_no_message_of_a_session_draws_none) {
  Rig rig;
  rig.connect();
  Forger forger(rig);
  const Still still(rig);
  for (const uint32_t index : {forger.active().value, forger.spare().value}) {
    rig.inject(rig.datagram_up(0, data_under(index)));
    Bytes control = data_under(index);
    control[0] = static_cast<uint8_t>(MessageType::kControl);
    rig.inject(rig.datagram_up(0, control));
    for (size_t i = 0; i < 10; ++i) {
      wire::Reset reset{};
      reset.type = MessageType::kReset;
      reset.receiver = i % 2 == 0 ? index : 0x1234'5678;
      rig.inject(rig.datagram_up(0, bytes_of(reset)));
    }
  }
  rig.run_for(Millis{50});
  EXPECT_EQ(count(rig, MessageType::kReset, false), 0U);
  EXPECT_EQ(rig.gateway().drops(Drop::kUnawaitedAnswer), 20U);
  still.expect();
}

/// The old index drained, or went with the old keys: the session lives, and knows why.
TEST(Reset, an_index_that_the_session_has_left_draws_none) {
  Rig rig;
  rig.connect();
  const Forger forger(rig);
  const ReceiverIndex left = forger.active();
  ASSERT_TRUE(rig.jump(1));
  rig.run_for(Millis{5'000});
  ASSERT_EQ(rig.gateway().sessions().rx(left.value), nullptr);
  const Still still(rig);
  rig.inject(rig.datagram_up(0, data_under(left.value)));
  rig.run_for(Millis{50});
  EXPECT_EQ(rig.gateway().drops(Drop::kUnknownIndex), 1U);
  EXPECT_EQ(count(rig, MessageType::kReset, false), 0U);
  still.expect();
}

TEST(Reset, a_forged_one_moves_no_session_and_is_told) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  const size_t calls = count(rig, MessageType::kInitiation, true);
  const ReceiverIndex index = Forger(rig).active();
  rig.client().receive(rig.client_now(), rig.path(0),
                       bytes_of(reset_by(generate_secret_key(), index)));
  rig.client().receive(rig.client_now(), rig.path(1), bytes_of(reset_by(rig.gateway_key(), index)));
  EXPECT_EQ(rig.client().engine().counters().resets_refused, 2U);
  EXPECT_GE(rig.client().events().count(EventKind::kSecurityEvent, Reason::kSecAbuseControlPlane,
                                        Detail::kResetRefused),
            1U);
  rig.run_for(Millis{1'000});
  EXPECT_EQ(count(rig, MessageType::kInitiation, true), calls);
  still.expect();
}

/// Somebody who had the index before, or another node with this key: the client is made to call,
/// and nothing that it has is lost.
TEST(Reset, a_true_token_of_a_session_that_lives_costs_one_call) {
  Rig rig;
  rig.connect();
  const size_t calls = count(rig, MessageType::kInitiation, true);
  const ReceiverIndex index = Forger(rig).active();
  const Bytes reset = bytes_of(reset_by(rig.gateway_key(), index));
  for (int i = 0; i < 50; ++i) rig.client().receive(rig.client_now(), rig.path(0), reset);
  EXPECT_TRUE(rig.attached()) << "the session goes on";
  rig.run_for(Millis{100});
  EXPECT_TRUE(rig.attached());
  EXPECT_EQ(count(rig, MessageType::kInitiation, true), calls + 1);
  EXPECT_TRUE(rig.serves());
  EXPECT_EQ(rig.client().engine().counters().resets_taken, 1U);
}

}  // namespace
}  // namespace jvpn::test
