// Every ring between workers and control, full: what doesn't fit is dropped under its name, and
// the other classes go on.
#include <functional>

#include <gtest/gtest.h>

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

Bytes initiation(Lab& lab, const TestSession& session, const Mac* cookie) {
  Bytes message(sizeof(wire::Initiation));
  message[0] = static_cast<uint8_t>(wire::MessageType::kInitiation);
  write_macs(lab.mac(), lab.mac_keys().mac1, cookie, message);
  return session.frame_at_peer(message);
}

CookieSecrets cookie_secrets(Lab& lab) {
  CookieSecrets secrets{};
  lab.mac().expand(std::array<uint8_t, 16>{9}, secrets.current);
  return secrets;
}

const RingCase kRings[]{
    {"verified handshakes", PuntClass::kVerifiedHandshake,
     [](Lab& lab, const TestSession& session, uint64_t) {
       const Endpoint source{address("192.0.2.2"), kPeerPort};
       const Mac cookie = cookie_for(lab.mac(), cookie_secrets(lab).current, source);
       return initiation(lab, session, &cookie);
     }},
    {"other handshakes", PuntClass::kHandshake,
     [](Lab& lab, const TestSession& session, uint64_t) {
       return initiation(lab, session, nullptr);
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

}  // namespace
}  // namespace jvpn::test
