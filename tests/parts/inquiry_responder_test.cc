#include "control/protocol/inquiry_responder.h"

#include <set>

#include "common/limits.h"
#include "tests/support/handshake_rig.h"

namespace jvpn {
namespace {

using wire::MessageType;

class SilentOwnership : public MemoryOwnership {
 public:
  using MemoryOwnership::MemoryOwnership;
  bool silent() const override { return true; }
};

class InquiryResponderPart : public test::HandshakeRig {
 protected:
  template <typename Message>
  static std::span<uint8_t> bytes_of(Message& message) {
    return {reinterpret_cast<uint8_t*>(&message), sizeof message};
  }
  void add_macs(wire::Initiation& message, const Mac* cookie = nullptr) {
    write_macs(mac, cookies.mac_keys().mac1, cookie, bytes_of(message));
  }
  Call call_of(const Identity& whose) {
    return {whose, self.public_key, Suite::kAes128Gcm, ReceiverIndex{0x99}, 1, ephemeral};
  }
  wire::Initiation inquiry_of(const Identity& whose, const Mac* cookie = nullptr) {
    ephemeral = secret_of(static_cast<uint8_t>(++asked_ + 100));
    wire::Initiation message;
    asked = write_inquiry(call_of(whose), message);
    EXPECT_TRUE(asked);
    add_macs(message, cookie);
    return message;
  }
  /// Datagrams sent for it; its MACs are judged here, as control judges them.
  size_t answers(InquiryResponder& by, wire::Initiation message, uint8_t network = 1) {
    effects.clear();
    by.on_inquiry(now, test::path_over(network), bytes_of(message), std::nullopt);
    return count<Send>();
  }
  size_t answers(const wire::Initiation& message) { return answers(inquiries, message); }
  std::optional<wire::ReadinessValue> opened(const wire::Initiation& asked_by,
                                             const PresharedKey& psk = {}) {
    const auto key = readiness_key(*asked, psk);
    EXPECT_TRUE(key);
    const auto message = sent<wire::Readiness>();
    EXPECT_EQ(message.type, MessageType::kReadiness);
    EXPECT_EQ(message.receiver, asked_by.sender);
    return open_readiness(aead, *key, std::to_array(asked_by.mac1), message);
  }
  wire::Availability availability(InquiryResponder& by) {
    const wire::Initiation message = inquiry_of(peer);
    EXPECT_EQ(answers(by, message), 1U);
    const auto value = opened(message);
    EXPECT_TRUE(value);
    return value ? value->availability : wire::Availability{};
  }
  void expect_nothing_made() {
    EXPECT_EQ(table.peer(kPeer).session, nullptr);
    EXPECT_EQ(table.peer(kPeer).pending, nullptr);
    EXPECT_EQ(count<RxInstall>() + count<AwaitAnswer>(), 0U);
    EXPECT_EQ(table.indices_alive(table.peer(kPeer)), 0U);
  }

  Identity peer{remote_secret, public_key_of(remote_secret), {}};
  SecretKey ephemeral;
  std::optional<NoiseHandshake> asked;  ///< the latest inquiry's
  Resumer resumer{context, reporter, lifecycle, bindings, dialer};
  Acceptor acceptor{context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now};
  InquiryResponder inquiries{context, self, cookies, reporter, acceptor, now};

 private:
  unsigned asked_ = 0;
};

TEST_F(InquiryResponderPart, APeerIsToldWhatItsNextInitiationNeedsAndNothingIsMade) {
  const wire::Initiation message = inquiry_of(peer);
  ASSERT_EQ(answers(message), 1U);
  expect_nothing_made();
  EXPECT_EQ(counters.inquiries_answered, 1U);
  const auto value = opened(message);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->availability, wire::Availability::kTakesSessions);
  // The cookie proves the source, under load; the freshness lets an old timestamp in.
  wire::Initiation next;
  ASSERT_TRUE(write_initiation(call_of(peer), {{}, value->freshness}, next));
  add_macs(next, &value->cookie);
  EXPECT_EQ(cookies.check(test::path_over(1), bytes_of(next), {}), MacVerdict::kVerified);
  EXPECT_EQ(cookies.check(test::path_over(2), bytes_of(next), {}), MacVerdict::kMac1);
  EXPECT_EQ(acceptor.on_initiation(now, test::path_over(1), bytes_of(next), {}), kPeer);
}

TEST_F(InquiryResponderPart, WhoTakesNoSessionsSaysSo) {
  context.draining = true;
  EXPECT_EQ(availability(inquiries), wire::Availability::kDraining);
  context.draining = false;
  SilentOwnership silent(sessions);
  StoreCalls lost(config, silent);
  Context without{config, table, environment, effects, counters, lost, aead, mac};
  InquiryResponder there(without, self, cookies, reporter, acceptor, now);
  EXPECT_EQ(availability(there), wire::Availability::kStoreUnavailable);
  EXPECT_EQ(availability(inquiries), wire::Availability::kTakesSessions);
}

TEST_F(InquiryResponderPart, NobodyWithoutKeysDrawsAnAnswer) {
  const Identity stranger{secret_of(77), public_key_of(secret_of(77)), {}};
  EXPECT_EQ(answers(inquiry_of(stranger)), 0U);
  EXPECT_EQ(latest<Event>().detail, Detail::kUnknownKey);
  const wire::Initiation right = inquiry_of(peer);
  constexpr size_t kMacs = sizeof right.mac1 + sizeof right.mac2;
  for (size_t bit = 0; bit < 8 * (sizeof right - kMacs); ++bit) {
    wire::Initiation message = right;
    const auto bytes = bytes_of(message);
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1U << bit % 8));
    EXPECT_EQ(answers(message), 0U) << "mac1 of another message, bit " << bit;
    now = now + Millis{10};
    add_macs(message);
    EXPECT_EQ(answers(message), 0U) << "mac1 is anybody's to make, bit " << bit;
    now = now + Millis{10};
  }
  EXPECT_EQ(counters.inquiries_answered + counters.inquiries_throttled, 0U);
  EXPECT_EQ(answers(right), 1U) << "as it was it is answered";
}

/// A recording of either is not good as the other.
TEST_F(InquiryResponderPart, NeitherInitiationsNorInquiriesPassForTheOther) {
  wire::Initiation recorded;
  ASSERT_TRUE(write_initiation(call_of(peer), {environment.stamp}, recorded));
  recorded.type = MessageType::kInquiry;
  add_macs(recorded);
  EXPECT_EQ(answers(recorded), 0U);
  wire::Initiation question = inquiry_of(peer);
  question.type = MessageType::kInitiation;
  add_macs(question);
  EXPECT_EQ(acceptor.on_initiation(now, test::path_over(1), bytes_of(question), {}), std::nullopt);
  EXPECT_EQ(count<Send>(), 0U);
  expect_nothing_made();
}

/// Its claim would be refused: a gateway that took it for ready would lose the round.
TEST_F(InquiryResponderPart, WhoseInitiationWouldBeRefusedForItsSuiteDrawsNoAnswer) {
  config.suites = {Suite::kAes256Gcm};
  EXPECT_EQ(answers(inquiry_of(peer)), 0U);
  EXPECT_EQ(latest<Event>().detail, Detail::kPolicyRefused);
  config.suites.push_back(Suite::kAes128Gcm);
  EXPECT_EQ(answers(inquiry_of(peer)), 1U);
}

TEST_F(InquiryResponderPart, ThePresharedKeyIsNeededToReadTheAnswer) {
  PresharedKey psk;
  psk.bytes().fill(3);
  config.peers[0].preshared = psk;
  const wire::Initiation message = inquiry_of(peer);
  ASSERT_EQ(answers(message), 1U);
  EXPECT_FALSE(opened(message));
  EXPECT_TRUE(opened(message, psk));
}

TEST_F(InquiryResponderPart, WhoeverReplaysOneSeesUnrelatedBytes) {
  const wire::Initiation message = inquiry_of(peer);
  std::set<std::vector<uint8_t>> seen;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(answers(message), 1U);
    const auto reply = sent<wire::Readiness>();
    seen.insert({std::begin(reply.value), std::end(reply.value)});
    seen.insert({std::begin(reply.nonce), std::end(reply.nonce)});
  }
  EXPECT_EQ(seen.size(), 6U);
}

TEST_F(InquiryResponderPart, BeyondItsRateASourceShowsACookieAndHasAShare) {
  config.handshakes_per_s = 40;  // of inquiries 10, and as many of holders
  InquiryResponder busy(context, self, cookies, reporter, acceptor, now);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(answers(busy, inquiry_of(peer)), 1U);
  EXPECT_EQ(counters.inquiries_answered, 10U);
  const wire::Initiation more = inquiry_of(peer);
  ASSERT_EQ(answers(busy, more), 1U);
  EXPECT_EQ(counters.inquiries_answered, 10U) << "no public-key work";
  const auto cookie = open_reply(aead, cookies.mac_keys().cookie_label, std::to_array(more.mac1),
                                 sent<wire::SealedReply>());
  ASSERT_TRUE(cookie);
  const wire::Initiation held = inquiry_of(peer, &*cookie);
  EXPECT_EQ(answers(busy, held), 1U);
  EXPECT_EQ(counters.inquiries_answered, 11U);
  EXPECT_EQ(answers(busy, held), 0U) << "the same one counts once";
  EXPECT_EQ(answers(busy, inquiry_of(peer, &*cookie)), 0U) << "the address has had its share";
  EXPECT_EQ(latest<Event>().detail, Detail::kThrottled);
}

TEST_F(InquiryResponderPart, InquiriesKeepNoHandshakeOut) {
  config.handshakes_per_s = 4;
  InquiryResponder busy(context, self, cookies, reporter, acceptor, now);
  for (int i = 0; i < 1'000; ++i) answers(busy, inquiry_of(peer));
  EXPECT_EQ(counters.inquiries_answered, 1U);
  wire::Initiation message;
  ASSERT_TRUE(write_initiation(call_of(peer), {environment.stamp}, message));
  add_macs(message);
  EXPECT_EQ(acceptor.on_initiation(now, test::path_over(1), bytes_of(message), {}), kPeer);
}

TEST_F(InquiryResponderPart, TheMorePeersTheRarerEachAsks) {
  const auto wait = [&] {
    InquiryResponder responder(context, self, cookies, reporter, acceptor, now);
    const wire::Initiation message = inquiry_of(peer);
    EXPECT_EQ(answers(responder, message), 1U);
    return opened(message).value_or(wire::ReadinessValue{}).ask_again_s;
  };
  EXPECT_EQ(wait(), 15U);
  config.handshakes_per_s = 4;  // one inquiry a second
  for (uint32_t id = 2; id < 100; ++id) table.add(PeerId{id}, PublicKey{static_cast<uint8_t>(id)});
  EXPECT_EQ(wait(), 200U);
  for (uint32_t id = 100; id < 1'000; ++id)
    table.add(PeerId{id}, PublicKey{static_cast<uint8_t>(id), static_cast<uint8_t>(id >> 8), 1});
  EXPECT_EQ(wait(), 600U);
}

}  // namespace
}  // namespace jvpn
