// What workers hold a session to by its records alone, whether or not control still runs: it
// doesn't in these tests.
#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kSoonMs = 1'000;              ///< until a deadline; a poll takes far less
constexpr size_t kReceiverAt = 14 + 20 + 8 + 4;  ///< of a data message over IPv4

uint64_t soon_tsc() {
  return rte_rdtsc() + rte_get_tsc_hz() / 1'000 * kSoonMs;
}

Bytes to_peer(const TestSession& session) {
  return ip_frame(kPortMac, kHostMac,
                  ip_packet(address("10.0.0.2"), session.host(Family::kIpv4),
                            udp_datagram(1000, 2000, payload_of(20))));
}

Bytes from_peer(const TestSession& session, uint64_t sequence) {
  return session.seal_at_peer(ip_packet(session.host(Family::kIpv4), address("10.0.0.2"),
                                        udp_datagram(2000, 1000, payload_of(20))),
                              0, sequence);
}

TEST(SessionGuard, NothingLeavesAfterTheDeadline) {
  Lab lab;
  TestSession session(lab, {});
  session.tx().deadline_tsc = soon_tsc();
  lab.receive(kLan, to_peer(session));
  lab.poll();
  EXPECT_EQ(lab.sent(kWan).size(), 1U) << lab.drop_text();
  while (rte_rdtsc() <= session.tx().deadline_tsc) rte_pause();
  lab.receive(kLan, to_peer(session));
  lab.poll();
  EXPECT_TRUE(lab.sent(kWan).empty());
  EXPECT_EQ(lab.drops(Drop::kSessionExpired), 1U) << lab.drop_text();
}

TEST(SessionGuard, NothingEntersAfterTheDeadline) {
  Lab lab;
  TestSession session(lab, {});
  const uint64_t deadline = soon_tsc();
  session.rx().deadline.store(CoarseDeadline(deadline));
  lab.receive(kWan, from_peer(session, 0));
  lab.receive(kWan, session.control_at_peer(payload_of(8), 0));
  lab.poll();
  EXPECT_EQ(lab.sent(kLan).size(), 1U) << lab.drop_text();
  EXPECT_EQ(lab.punted(PuntClass::kControl).size(), 1U);
  while (rte_rdtsc() <= deadline) rte_pause();
  lab.receive(kWan, from_peer(session, 1));
  lab.receive(kWan, session.control_at_peer(payload_of(8), 1));
  lab.poll();
  EXPECT_TRUE(lab.sent(kLan).empty());
  EXPECT_TRUE(lab.punted(PuntClass::kControl).empty());
  EXPECT_EQ(lab.drops(Drop::kSessionExpired), 2U) << lab.drop_text();
}

/// What a store owns for us is carried while that can be proven, both ways; what we dialled,
/// always.
TEST(SessionGuard, WithoutProofNothingThatAStoreOwnsIsCarried) {
  Lab lab;
  TestSession session(lab, {});
  for (const bool owned : {true, false}) {
    session.tx().owned = owned;
    for (const uint64_t silent_after : {uint64_t{0}, kNoDeadline}) {
      lab.sessions().set_silent_after(silent_after);
      static uint64_t sequence = 0;
      const uint64_t drops = lab.drops(Drop::kNotOwned);
      lab.receive(kLan, to_peer(session));
      lab.receive(kWan, from_peer(session, sequence++));
      Bytes nobodys = from_peer(session, sequence++);
      nobodys[kReceiverAt] ^= 1;
      lab.receive(kWan, nobodys);
      lab.poll();
      const bool carried = !owned || silent_after == kNoDeadline;
      EXPECT_EQ(lab.sent(kWan).size(), carried ? 1U : 0U) << lab.drop_text();
      EXPECT_EQ(lab.sent(kLan).size(), carried ? 1U : 0U) << lab.drop_text();
      EXPECT_EQ(lab.drops(Drop::kNotOwned) - drops, carried ? 0U : 2U) << lab.drop_text();
    }
  }
  EXPECT_EQ(lab.drops(Drop::kUnknownIndex), 4U) << lab.drop_text();
}

TEST(SessionGuard, ACoarseDeadlineHoldsWhileItsClockWraps) {
  const uint64_t second = rte_get_tsc_hz();
  for (const uint64_t now : {second, UINT64_MAX / 2, (uint64_t{1} << 58) - second / 2}) {
    const auto at = [](uint64_t tsc) { return CoarseDeadline::coarse(tsc); };
    EXPECT_FALSE(CoarseDeadline(now + second).passed(at(now))) << now;
    EXPECT_TRUE(CoarseDeadline(now + second).passed(at(now + second))) << now;
    EXPECT_TRUE(CoarseDeadline(now + second).passed(at(now + 1'000'000 * second))) << now;
    EXPECT_FALSE(CoarseDeadline(kNoDeadline).passed(at(now))) << now;
  }
}

// ---- Control messages.

TEST(SessionGuard, AReplayedControlMessageCostsNoCipherAndNoPlaceInTheRing) {
  constexpr uint64_t kReplays = 10'000;
  Lab lab;
  TestSession session(lab, {});
  const Bytes captured = session.control_at_peer(payload_of(8), 7);
  Bytes forged = captured;
  forged.back() ^= 1;  // the cipher would say so
  lab.receive(kWan, captured);
  lab.receive(kWan, captured);
  lab.poll();
  ASSERT_EQ(lab.punted(PuntClass::kControl).size(), 2U) << "control hears of a replay";
  const uint64_t begun = rte_rdtsc();
  for (uint64_t sent = 0; sent < kReplays; ++sent) {
    lab.receive(kWan, sent % 2 == 0 ? captured : forged);
    lab.poll();
  }
  const uint64_t seconds = (rte_rdtsc() - begun) / rte_get_tsc_hz() + 1;
  EXPECT_LE(lab.punted(PuntClass::kControl).size() + lab.drops(Drop::kBadTag), seconds);
  EXPECT_GE(lab.drops(Drop::kReplayDuplicate), kReplays - seconds) << lab.drop_text();
  lab.receive(kWan, session.control_at_peer(payload_of(8), 8));
  lab.poll();
  EXPECT_EQ(lab.punted(PuntClass::kControl).size(), 1U) << "a new one passes";
}

/// Whoever listens on the path may be faster than the initiator, from another port.
TEST(SessionGuard, BeforeItsKeyIsConfirmedCopiesFromElsewhereUseNothingUp) {
  for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
    constexpr uint64_t kCopies = 2 * kControlBurst;
    Lab lab;
    TestSession session(lab, {.outer = outer});
    const Bytes confirmation = session.control_at_peer(payload_of(8), 7);
    const size_t source_port = outer == Family::kIpv4 ? 34 : 54;
    const auto from_elsewhere = [&](Bytes frame) {
      frame[source_port] ^= 1;
      return frame;
    };
    session.set_confirmed(false);
    for (uint64_t sent = 0; sent < kCopies; ++sent) {
      lab.receive(kWan, from_elsewhere(confirmation));
      lab.poll();
    }
    EXPECT_EQ(lab.drops(Drop::kUnconfirmedSource), kCopies) << lab.drop_text();
    lab.receive(kWan, confirmation);
    lab.poll();
    EXPECT_EQ(lab.punted(PuntClass::kControl).size(), 1U) << lab.drop_text();
    session.set_confirmed(true);
    lab.receive(kWan, from_elsewhere(session.control_at_peer(payload_of(8), 8)));
    lab.poll();
    EXPECT_EQ(lab.punted(PuntClass::kControl).size(), 1U) << "its NAT may have changed";
  }
}

TEST(SessionGuard, ControlMessagesOfOneIndexAreBounded) {
  constexpr uint64_t kSent = 400;
  Lab lab;
  TestSession loud(lab, {});
  TestSession other(lab, {.peer = PeerId{2}});
  for (uint64_t counter = 0; counter < kSent; ++counter)
    lab.receive(kWan, loud.control_at_peer(payload_of(8), counter));
  lab.receive(kWan, other.control_at_peer(payload_of(8), 0));
  const uint64_t begun = rte_rdtsc();
  while (lab.poll() != 0) {
  }
  const uint64_t refilled = (rte_rdtsc() - begun) / (rte_get_tsc_hz() / kControlPerSecond) + 1;
  const auto punted = lab.punted(PuntClass::kControl);
  EXPECT_LE(punted.size(), kControlBurst + refilled + 1);
  EXPECT_EQ(lab.drops(Drop::kControlRate), kSent + 1 - punted.size()) << lab.drop_text();
  ASSERT_FALSE(punted.empty());
  EXPECT_EQ(punted.back().note.receiver, other.rx().index.value) << "nobody else suffers";
}

TEST(ControlFilter, KnowsWhatWasSeen) {
  SeenCounters seen;
  EXPECT_EQ(seen.check(0), ReplayVerdict::kFresh);
  for (const uint64_t each : {uint64_t{0}, uint64_t{5}, uint64_t{300}, uint64_t{299}}) {
    EXPECT_EQ(seen.check(each), ReplayVerdict::kFresh) << each;
    seen.add(each);
    EXPECT_EQ(seen.check(each), ReplayVerdict::kDuplicate) << each;
  }
  EXPECT_EQ(seen.check(0), ReplayVerdict::kTooOld) << "300 stands in its place";
  for (uint64_t back = 2; back <= SeenCounters::kReach; ++back)
    EXPECT_EQ(seen.check(300 - back), ReplayVerdict::kFresh) << back;
  seen.add(uint64_t{1} << 30);
  EXPECT_EQ(seen.check((uint64_t{1} << 30) - 1), ReplayVerdict::kFresh);
}

}  // namespace
}  // namespace jvpn::test
