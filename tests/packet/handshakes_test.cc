// Initiations and inquiries on a worker: what costs control anything, and what comes back.
#include <cstring>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include "common/bytes.h"
#include "common/checksum.h"
#include "tests/packet/worker_fixture.h"

namespace jvpn::test {
namespace {

constexpr size_t kAdmitted = kMaxBurst;  // at once, of one a second

class HandshakesTest : public testing::TestWithParam<Family> {
 protected:
  HandshakesTest() {
    lab.mac().expand(std::array<uint8_t, 16>{9}, secrets.current);
    lab.mac().expand(std::array<uint8_t, 16>{7}, secrets.previous);
    secrets.label = lab.mac_keys().cookie_label.bytes();
    lab.cookies().store(&secrets);
  }
  ~HandshakesTest() override { lab.cookies().store(nullptr); }

  Endpoint source() const {
    return {address(GetParam() == Family::kIpv6 ? "2001:db8::2" : "192.0.2.2"), kPeerPort};
  }
  Bytes initiation(uint32_t sender, const Mac* cookie = nullptr,
                   wire::MessageType type = wire::MessageType::kInitiation) {
    wire::Initiation message{};
    message.type = type;
    message.sender = sender;
    Bytes bytes(sizeof message);
    std::memcpy(bytes.data(), &message, sizeof message);
    write_macs(lab.mac(), lab.mac_keys().mac1, cookie, bytes);
    return bytes;
  }
  Mac cookie() { return cookie_for(lab.mac(), secrets.current, source()); }
  void offer(const Bytes& message) {
    lab.receive(kWan, session.frame_at_peer(message));
    while (lab.poll() != 0) {
    }
  }
  /// From here on more came than control admits.
  void load() {
    for (size_t i = 0; i <= kAdmitted; ++i) offer(initiation(1));
    EXPECT_GE(lab.punted(PuntClass::kHandshake).size(), kAdmitted);
    lab.sent(kWan);
  }
  /// The one answer's payload, from us to where the question came from.
  Bytes answer() {
    const auto frames = lab.sent(kWan);
    EXPECT_EQ(frames.size(), 1U) << lab.drop_text();
    if (frames.size() != 1) return {};
    const Bytes& frame = frames.front();
    const Bytes question = session.frame_at_peer(initiation(1));
    EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 6, question.begin() + 6));
    EXPECT_TRUE(std::equal(frame.begin() + 6, frame.begin() + 12, question.begin()));
    const uint8_t* ip = frame.data() + kEthernetHeaderBytes;
    const bool v4 = is_ipv4(ip);
    const size_t header = v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
    EXPECT_EQ(v4, GetParam() == Family::kIpv4);
    const uint8_t* udp = ip + header;
    const size_t udp_bytes = frame.size() - kEthernetHeaderBytes - header;
    EXPECT_TRUE(!v4 || checksum_finish(checksum_add({ip, header}, 0)) == 0);
    EXPECT_EQ(checksum_finish(
                  checksum_add({udp, udp_bytes}, pseudo_header_sum(ip, kProtocolUdp, udp_bytes))),
              0U);
    EXPECT_EQ(load_be16(udp + 4), udp_bytes);
    EXPECT_EQ(IpAddress::read(GetParam(), destination_of(ip)), source().address);
    EXPECT_EQ(load_be16(udp + 2), kPeerPort);
    return {udp + kUdpHeaderBytes, udp + udp_bytes};
  }

  Lab lab{{.handshakes_per_s = 1}};
  TestSession session{lab, {.outer = GetParam()}};
  CookieSecrets secrets{};
};

INSTANTIATE_TEST_SUITE_P(BothFamilies, HandshakesTest,
                         testing::Values(Family::kIpv4, Family::kIpv6), [](const auto& family) {
                           return std::string(family.param == Family::kIpv4 ? "ipv4" : "ipv6");
                         });

TEST_P(HandshakesTest, under_load_the_worker_answers_by_the_cookie_of_its_source) {
  load();
  std::set<std::string> nonces;
  for (const auto type : {wire::MessageType::kInitiation, wire::MessageType::kInquiry}) {
    const Bytes question = initiation(0xAABB'CCDD, nullptr, type);
    offer(question);
    const Bytes bytes = answer();
    wire::SealedReply reply;
    ASSERT_EQ(bytes.size(), sizeof reply);
    EXPECT_LE(bytes.size(), question.size());
    std::memcpy(&reply, bytes.data(), sizeof reply);
    EXPECT_EQ(reply.type, wire::MessageType::kCookieReply);
    EXPECT_EQ(reply.receiver, 0xAABB'CCDDU);
    Mac mac1;
    std::memcpy(mac1.data(), &question[offsetof(wire::Initiation, mac1)], mac1.size());
    EXPECT_EQ(open_reply(lab.aead(), lab.mac_keys().cookie_label, mac1, reply), cookie());
    nonces.emplace(reply.nonce, reply.nonce + sizeof reply.nonce);
  }
  EXPECT_EQ(nonces.size(), 2U) << "each has a key of its own";
  EXPECT_TRUE(lab.punted(PuntClass::kHandshake).empty()) << "and control hears nothing of it";
}

TEST_P(HandshakesTest, under_load_a_cookie_lets_in_once) {
  load();
  const Mac held = cookie();
  offer(initiation(5, &held));
  EXPECT_EQ(lab.punted(PuntClass::kVerifiedHandshake).size(), 1U) << lab.drop_text();
  offer(initiation(5, &held));
  EXPECT_EQ(lab.drops(Drop::kHandshakeRepeated), 1U);
  offer(initiation(6, &held));
  EXPECT_EQ(lab.punted(PuntClass::kVerifiedHandshake).size(), 1U);
  Mac foreign = held;
  foreign[0] ^= 1;
  offer(initiation(7, &foreign));
  EXPECT_EQ(answer().size(), sizeof(wire::SealedReply)) << "who lost it gets another";
  EXPECT_TRUE(lab.punted(PuntClass::kHandshake).empty());
}

TEST_P(HandshakesTest, one_address_with_a_cookie_takes_no_more_than_all_are_admitted) {
  const Mac held = cookie();
  const uint64_t begun = rte_rdtsc();
  constexpr uint32_t kMany = 3 * kAdmitted;
  size_t passed = 0;
  for (uint32_t i = 0; i < kMany; ++i) {
    offer(initiation(i, &held));
    passed += lab.punted(PuntClass::kVerifiedHandshake).size();
  }
  EXPECT_GE(passed, kAdmitted);
  EXPECT_LE(passed, kAdmitted + (rte_rdtsc() - begun) / rte_get_tsc_hz() + 1);
  EXPECT_EQ(lab.drops(Drop::kHandshakeShare), kMany - passed);
}

TEST_P(HandshakesTest, a_wrong_mac1_draws_nothing_and_loads_nobody) {
  Bytes wrong = initiation(1);
  wrong[offsetof(wire::Initiation, mac1)] ^= 1;
  for (size_t i = 0; i < 3 * kAdmitted; ++i) offer(wrong);
  EXPECT_EQ(lab.drops(Drop::kBadMac), 3 * kAdmitted);
  EXPECT_TRUE(lab.sent(kWan).empty());
  offer(initiation(1));
  EXPECT_EQ(lab.punted(PuntClass::kHandshake).size(), 1U);
}

TEST_P(HandshakesTest, cookie_replies_are_bounded_and_the_rest_is_dropped_by_name) {
  constexpr size_t kFlood = 40 * kMaxBurst;
  load();
  const Bytes frame = session.frame_at_peer(initiation(1));
  const uint64_t before = lab.total(&WorkerCounters::cookie_replies);
  const uint64_t begun = rte_rdtsc();
  for (size_t i = 0; i < kFlood; ++i) lab.receive(kWan, frame);
  while (lab.poll() != 0) {
  }
  constexpr uint32_t kRate = HandshakeGuard::kReturningPerSecond + HandshakeGuard::kNewPerSecond;
  const uint64_t cycles = rte_get_tsc_hz() / kRate;
  const uint64_t replies = lab.total(&WorkerCounters::cookie_replies) - before;
  EXPECT_GE(replies, kMaxBurst);
  EXPECT_LE(replies, 2 * kMaxBurst + (rte_rdtsc() - begun) / cycles + 2);
  EXPECT_EQ(lab.drops(Drop::kCookieRate), kFlood - replies) << lab.drop_text();
  EXPECT_EQ(lab.sent(kWan).size(), replies);
}

TEST(HandshakeGuardTest, who_calls_again_is_answered_before_invented_sources) {
  HandshakeGuard guard(1'000);
  const uint64_t hz = rte_get_tsc_hz();
  constexpr unsigned kHonest = 50;
  Endpoint invented{address("198.18.0.0"), 1'024};
  uint64_t now = 100 * hz;
  uint32_t answered = 0;
  const auto flood = [&](uint32_t calls) {  // 200 000 a second
    for (uint32_t i = 0; i < calls; ++i) {
      now += hz / 200'000;
      invented.port = static_cast<uint16_t>(1'024 + i % 60'000);
      invented.address.bytes[1] = static_cast<uint8_t>(18 + i / 60'000);
      ++invented.address.bytes[3];
      answered += guard.takes_reply(now, invented) ? 1 : 0;
    }
  };
  const auto honest = [&] {
    unsigned got = 0;
    for (uint8_t i = 0; i < kHonest; ++i)
      got += guard.takes_reply(now, {IpAddress::v4({192, 0, 2, i}), 40'000}) ? 1 : 0;
    return got;
  };
  flood(200'000);
  EXPECT_LT(answered, 40'000U) << "some 20 000, and as many as are taken for others";
  EXPECT_LT(honest(), kHonest / 2) << "at first they are nobody";
  flood(250'000);
  EXPECT_EQ(honest(), kHonest);
  for (int seconds = 0; seconds < 10; ++seconds) flood(200'000);
  EXPECT_LT(honest(), kHonest / 2) << "forgotten by now";
}

TEST(HandshakeGuardTest, wrong_cookies_leave_looks_for_who_was_answered) {
  HandshakeGuard guard(1'000);
  const uint64_t now = 100 * rte_get_tsc_hz();
  const Endpoint invented{address("198.18.0.1"), 1'024};
  const Endpoint answered{address("192.0.2.2"), kPeerPort};
  EXPECT_TRUE(guard.takes_reply(now, answered));
  size_t wrong = 0;
  for (; guard.may_look(now, invented) && wrong <= kMaxBurst; ++wrong) guard.note_wrong(now);
  EXPECT_LE(wrong, kMaxBurst);
  size_t looks = 0;
  while (looks <= kMaxBurst && guard.may_look(now, answered)) ++looks;
  EXPECT_EQ(looks, kMaxBurst) << "a share of its own, bounded as well";
  EXPECT_FALSE(guard.may_look(now, invented));
}

TEST_P(HandshakesTest, a_second_without_load_ends_it) {
  load();
  const uint64_t over = rte_rdtsc() + rte_get_tsc_hz() + rte_get_tsc_hz() / 100;
  while (rte_rdtsc() < over) lab.poll();
  offer(initiation(1));
  EXPECT_EQ(lab.punted(PuntClass::kHandshake).size(), 1U) << lab.drop_text();
}

}  // namespace
}  // namespace jvpn::test
