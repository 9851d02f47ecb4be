// Every ring between workers and control, full: what doesn't fit is dropped under its name, and
// the other classes go on.
#include <cstring>
#include <functional>

#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <rte_ring_elem.h>

#include "common/source_signal.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kRing = 16;
constexpr size_t kSurplus = 5;

struct RingCase {
  const char* name;
  PuntClass ring;
  std::function<Bytes(Lab&, const TestSession&, uint64_t number)> frame;
};

Bytes initiation(Lab& lab, const TestSession& session, const Mac* cookie, uint64_t number) {
  Bytes message(sizeof(wire::Initiation));
  std::memcpy(&message[offsetof(wire::Initiation, noise)], &number, sizeof number);
  message[0] = static_cast<uint8_t>(wire::MessageType::kInitiation);
  write_macs(lab.mac(), lab.mac_keys().mac1, cookie, message);
  return session.frame_at_peer(message);
}

CookieSecrets cookie_secrets(Lab& lab) {
  CookieSecrets secrets{};
  lab.mac().expand(std::array<uint8_t, 16>{9}, secrets.current);
  return secrets;
}

Bytes awaited_cookie_reply(Lab& lab, uint32_t number) {
  wire::SealedReply reply{};
  reply.type = wire::MessageType::kCookieReply;
  reply.receiver = 0x5A00'0000 | number;
  lab.sessions().await(ReceiverIndex{reply.receiver});
  const auto* bytes = reinterpret_cast<const uint8_t*>(&reply);
  return {bytes, bytes + sizeof reply};
}

const RingCase kRings[]{
    {"verified handshakes", PuntClass::kVerifiedHandshake,
     [](Lab& lab, const TestSession& session, uint64_t number) {
       const Endpoint source{address("192.0.2.2"), kPeerPort};
       const Mac cookie = cookie_for(lab.mac(), cookie_secrets(lab).current, source);
       return initiation(lab, session, &cookie, number);
     }},
    {"other handshakes", PuntClass::kHandshake,
     [](Lab& lab, const TestSession& session, uint64_t number) {
       return initiation(lab, session, nullptr, number);
     }},
    {"answers", PuntClass::kAnswer,
     [](Lab& lab, const TestSession& session, uint64_t number) {
       return session.frame_at_peer(awaited_cookie_reply(lab, static_cast<uint32_t>(number)));
     }},
    {"control messages", PuntClass::kControl,
     [](Lab&, const TestSession& session, uint64_t number) {
       return session.control_at_peer(payload_of(24), number);
     }},
    {"slow path", PuntClass::kSlowPath,
     [](Lab&, const TestSession&, uint64_t) {
       return ethernet_frame(kPortMac, kHostMac, kArpType, Bytes(28));
     }},
};

TEST(FullRings, DropByNameAndLeaveTheOthersAlone) {
  for (const RingCase& full : kRings) {
    SCOPED_TRACE(full.name);
    Lab lab({.control_ring = kRing});
    TestSession session(lab, {});
    const CookieSecrets secrets = cookie_secrets(lab);
    lab.cookies().store(&secrets);
    const size_t room =
        rte_ring_get_capacity(lab.dataplane().rings(0).punt[static_cast<size_t>(full.ring)]);
    for (size_t i = 0; i < room + kSurplus; ++i) lab.receive(kWan, full.frame(lab, session, i));
    lab.poll();
    EXPECT_EQ(lab.drops(Drop::kControlRingFull), kSurplus) << lab.drop_text();
    for (const RingCase& other : kRings) {
      if (other.ring == full.ring) continue;
      lab.receive(kWan, other.frame(lab, session, 1'000));
      lab.poll();
      EXPECT_EQ(lab.punted(other.ring).size(), 1U) << other.name;
    }
    EXPECT_EQ(lab.punted(full.ring).size(), room);
    EXPECT_EQ(lab.all_drops(), kSurplus) << lab.drop_text();
    lab.cookies().store(nullptr);
  }
}

TEST(FullRings, ASignalThatIsLostIsCountedAndItsPacketDelivered) {
  Lab lab;
  TestSession session(lab, {});
  session.set_confirmed(true);
  rte_ring* const signals = lab.dataplane().rings(0).sources;
  SourceSignal other{};
  while (rte_ring_sp_enqueue_elem(signals, &other, sizeof other) == 0) {
  }
  const auto from_elsewhere = [&](uint16_t lane) {
    Bytes frame = session.seal_at_peer(ip_packet(session.host(Family::kIpv4), address("10.0.0.2"),
                                                 udp_datagram(2000, 1000, payload_of(20))),
                                       lane, 0);
    frame[34] ^= 1;  // its source port
    lab.receive(kWan, frame);
    lab.poll();
    EXPECT_EQ(lab.sent(kLan).size(), 1U) << lab.drop_text();
  };
  from_elsewhere(0);
  EXPECT_EQ(lab.total(&WorkerCounters::signals_lost), 1U);
  rte_ring_reset(signals);
  from_elsewhere(1);
  EXPECT_EQ(rte_ring_count(signals), 1U) << "control hears of the next";
  EXPECT_EQ(lab.total(&WorkerCounters::signals_lost), 1U);
  rte_ring_reset(signals);
}

/// Whoever floods the gateway with answers has to name an index that waits for one, and has its
/// share.
TEST(FullRings, AnswersNobodyWaitsForTakeNoPlace) {
  constexpr uint32_t kLoud = 0x1234'0001;
  constexpr uint32_t kOther = 0x1234'0002;
  constexpr size_t kFlood = 400;
  using wire::MessageType;
  Lab lab;
  TestSession session(lab, {});
  const auto offer = [&](MessageType type, uint32_t receiver, size_t times = 1) {
    const bool response = type == MessageType::kResponse;
    Bytes message(response ? sizeof(wire::Response) : sizeof(wire::SealedReply));
    message[0] = static_cast<uint8_t>(type);
    std::memcpy(&message[response ? offsetof(wire::Response, receiver)
                                  : offsetof(wire::SealedReply, receiver)],
                &receiver, sizeof receiver);
    if (response) write_macs(lab.mac(), lab.mac_keys().mac1, nullptr, message);
    for (size_t i = 0; i < times; ++i) lab.receive(kWan, session.frame_at_peer(message));
    while (lab.poll() != 0) {
    }
    EXPECT_TRUE(lab.punted(PuntClass::kHandshake).empty()) << "initiations have it for themselves";
    return lab.punted(PuntClass::kAnswer).size();
  };
  lab.sessions().await(ReceiverIndex{kLoud});
  lab.sessions().await(ReceiverIndex{kOther});
  uint64_t unawaited = 0;
  for (const auto type : {MessageType::kResponse, MessageType::kCookieReply, MessageType::kRetry}) {
    for (const uint32_t stranger : {uint32_t{0}, kLoud ^ 0x0100'0000, kLoud + 2}) {
      EXPECT_EQ(offer(type, stranger), 0U);
      EXPECT_EQ(lab.drops(Drop::kUnawaitedAnswer), ++unawaited);
    }
    EXPECT_EQ(offer(type, kOther), 1U) << lab.drop_text();
  }
  Bytes without_macs(sizeof(wire::Response));
  without_macs[0] = static_cast<uint8_t>(MessageType::kResponse);
  std::memcpy(&without_macs[offsetof(wire::Response, receiver)], &kLoud, sizeof kLoud);
  for (size_t i = 0; i < kFlood; ++i) lab.receive(kWan, session.frame_at_peer(without_macs));
  while (lab.poll() != 0) {
  }
  EXPECT_EQ(lab.drops(Drop::kBadMac), kFlood) << "and they take nothing of the index's share";
  const uint64_t begun = rte_rdtsc();
  const size_t passed = offer(MessageType::kRetry, kLoud, kFlood);
  const uint64_t refilled = (rte_rdtsc() - begun) / (rte_get_tsc_hz() / kAnswersPerSecond) + 1;
  EXPECT_GE(passed, kAnswerBurst);
  EXPECT_LE(passed, kAnswerBurst + refilled);
  EXPECT_EQ(lab.drops(Drop::kControlRate), kFlood - passed);
  EXPECT_EQ(offer(MessageType::kRetry, kOther), 1U) << "nobody else suffers";
}

}  // namespace
}  // namespace jvpn::test
