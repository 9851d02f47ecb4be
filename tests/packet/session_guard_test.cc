// What workers hold a session to by its records alone, while control stands still: no test here
// has one.
#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kSoonMs = 1'000;  ///< until a deadline; a poll takes far less

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

}  // namespace
}  // namespace jvpn::test
