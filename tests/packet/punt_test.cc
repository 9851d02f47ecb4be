// What a worker does not forward itself: inner packets for the slow path, strays for the lane's
// owner, messages for control, and what becomes of them when a ring is full.
#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "tests/packet/inner_packets.h"
#include "tests/packet/worker_fixture.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

/// What the worker gives to control for an inner packet, with the punt's note.
struct SlowPath {
  const char* name;
  PuntReason reason;
  Drop drop;  ///< kCount: none
};

class SlowPathTest : public testing::Test {
 protected:
  Punted expect_punt(const SlowPath& expected) {
    lab_.poll();
    const auto punted = lab_.punted(PuntClass::kSlowPath);
    EXPECT_EQ(punted.size(), 1U) << expected.name << ": " << lab_.drop_text();
    if (punted.empty()) return {};
    EXPECT_EQ(punted[0].note.reason, expected.reason) << expected.name;
    EXPECT_EQ(lab_.all_drops(), expected.drop == Drop::kCount ? 0U : 1U) << lab_.drop_text();
    if (expected.drop != Drop::kCount) {
      EXPECT_EQ(lab_.drops(expected.drop), 1U) << expected.name;
    }
    return punted[0];
  }
  void from_tunnel(const Bytes& packet) {
    lab_.receive(kWan, session_.seal_at_peer(packet, 0, sequence_++));
  }

  Lab lab_;
  TestSession session_{lab_, {}};
  uint64_t sequence_ = 0;
};

TEST_F(SlowPathTest, our_inside_address) {
  const Bytes packet =
      ipv4_packet(session_.host(Family::kIpv4), address("10.0.0.1"), payload_of(40),
                  {.protocol = kIcmpProtocol, .hops = 1, .options = {}});
  from_tunnel(packet);
  const Punted punted = expect_punt({"ping to the gateway", PuntReason::kLocal, Drop::kCount});
  EXPECT_EQ(punted.bytes, packet);
  EXPECT_TRUE(punted.note.from_tunnel);
  EXPECT_EQ(punted.note.peer, session_.spec().peer);
}

/// Control takes it as long as it forwards what is for handed over sessions.
TEST_F(SlowPathTest, a_peer_whose_session_another_gateway_has) {
  const Bytes packet =
      ipv4_packet(address("10.0.0.9"), session_.host(Family::kIpv4), payload_of(40));
  lab_.sessions().store_tx(session_.spec().peer, nullptr);
  lab_.sessions().set_forwards(true);
  lab_.receive(kLan, lan_frame(packet));
  const Punted punted = expect_punt({"handed over", PuntReason::kHandedOver, Drop::kCount});
  EXPECT_EQ(punted.bytes, forwarded(packet)) << "it spends a hop";
  EXPECT_FALSE(punted.note.from_tunnel);
  EXPECT_EQ(punted.note.port, kLan);
  lab_.sessions().set_forwards(false);
  lab_.receive(kLan, lan_frame(packet));
  lab_.poll();
  EXPECT_TRUE(lab_.punted(PuntClass::kSlowPath).empty());
  EXPECT_EQ(lab_.drops(Drop::kNoBinding), 1U);
}

TEST_F(SlowPathTest, neighbour_not_known_yet) {
  const Bytes packet =
      ipv4_packet(session_.host(Family::kIpv4), address("10.0.0.99"), payload_of(40));
  from_tunnel(packet);
  const Punted punted = expect_punt({"glean", PuntReason::kGlean, Drop::kCount});
  EXPECT_EQ(punted.bytes, forwarded(packet));
}

TEST_F(SlowPathTest, next_hop_withdrawn) {
  lab_.sessions().store_next_hop(0, nullptr);
  from_tunnel(from_peer(session_, Family::kIpv4, 40));
  lab_.poll();
  EXPECT_EQ(lab_.drops(Drop::kNextHopUnresolved), 1U);
}

/// Records stay as they are: whoever goes by the neighbour sees the change at once.
TEST_F(SlowPathTest, the_neighbour_outside_changes) {
  const Bytes packet = from_host(session_, Family::kIpv4, 100);
  const Mac48 other{0x02, 0, 0, 0, 0, 0x77};
  session_.hop().set(other, kPortMac);
  lab_.receive(kLan, lan_frame(packet));
  lab_.poll();
  const auto sent = lab_.sent(kWan);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(Bytes(sent[0].begin(), sent[0].begin() + 6), Bytes(other.begin(), other.end()));
  EXPECT_EQ(Bytes(sent[0].begin() + 6, sent[0].begin() + 12),
            Bytes(kPortMac.begin(), kPortMac.end()));
  session_.hop().forget();
  lab_.receive(kLan, lan_frame(packet));
  lab_.poll();
  EXPECT_TRUE(lab_.sent(kWan).empty());
  EXPECT_EQ(lab_.drops(Drop::kNextHopUnresolved), 1U);
  EXPECT_EQ(session_.tx().lanes[0].next_sequence.load(), 1U) << "no number is spent on it";
}

TEST_F(SlowPathTest, larger_than_the_tunnel) {
  const Bytes fits = from_host(session_, Family::kIpv4, 1'420 - 28);
  lab_.receive(kLan, lan_frame(fits));
  lab_.poll();
  EXPECT_EQ(lab_.sent(kWan).size(), 1U);
  const Bytes packet = from_host(session_, Family::kIpv4, 1'421 - 28);
  lab_.receive(kLan, lan_frame(packet));
  const Punted punted = expect_punt({"too big for a peer", PuntReason::kTooBig, Drop::kTooBig});
  EXPECT_EQ(punted.note.mtu, 1'420);
  EXPECT_EQ(punted.note.port, kLan);
  EXPECT_FALSE(punted.note.from_tunnel);
}

TEST_F(SlowPathTest, what_is_cut_is_no_drop) {
  Bytes packet = from_host(session_, Family::kIpv4, 1'421 - 28);
  packet[6] = 0;  // DF
  fix_ipv4_checksum(packet, 0);
  lab_.receive(kLan, lan_frame(packet));
  const Punted punted = expect_punt({"cut by control", PuntReason::kTooBig, Drop::kCount});
  EXPECT_EQ(punted.note.mtu, 1'420);
}

TEST_F(SlowPathTest, ipv6_may_count_on_its_least_mtu) {
  TestSession small(lab_, {.peer = PeerId{2}, .inner_mtu = 1'220});
  lab_.receive(kLan, lan_frame(from_host(small, Family::kIpv6, 1'280 - 48)));
  lab_.receive(kLan, lan_frame(from_host(small, Family::kIpv6, 1'220 - 48)));
  lab_.poll();
  EXPECT_EQ(lab_.sent(kWan).size(), 1U) << "the one that fits";
  const auto sealed = lab_.punted(PuntClass::kSlowPath);
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_EQ(sealed[0].note.reason, PuntReason::kOversize);
  EXPECT_EQ(sealed[0].note.mtu, 1'280) << "of IP packets on the path";
  EXPECT_EQ(sealed[0].bytes.size(), 14U + 60 + 1'280);
  EXPECT_EQ(lab_.drops(Drop::kTooBig), 0U);
  lab_.receive(kLan, lan_frame(from_host(small, Family::kIpv6, 1'281 - 48)));
  expect_punt({"too big for a peer", PuntReason::kTooBig, Drop::kTooBig});
}

TEST_F(SlowPathTest, larger_than_the_tunnel_between_peers) {
  TestSession other(lab_, {.peer = PeerId{2}, .inner_mtu = 1'280});
  from_tunnel(ip_packet(session_.host(Family::kIpv6), other.host(Family::kIpv6), Bytes(1'300)));
  const Punted punted = expect_punt({"too big for a peer", PuntReason::kTooBig, Drop::kTooBig});
  EXPECT_EQ(punted.note.mtu, 1'280);
  EXPECT_EQ(punted.note.peer, session_.spec().peer) << "the one to be told";
}

TEST_F(SlowPathTest, larger_than_the_lan) {
  NextHop small{};
  small.port = kLan;
  small.mtu = 1'000;
  const NextHop* old = lab_.sessions().store_next_hop(0, &small);
  from_tunnel(from_peer(session_, Family::kIpv6, 1'001 - 48));
  const Punted punted = expect_punt({"too big for the LAN", PuntReason::kTooBig, Drop::kTooBig});
  EXPECT_EQ(punted.note.mtu, 1'000);
  EXPECT_TRUE(punted.note.from_tunnel);
  lab_.sessions().store_next_hop(0, old);
}

TEST_F(SlowPathTest, last_hop) {
  const Bytes packet = ipv4_packet(lan_host(Family::kIpv4), session_.host(Family::kIpv4),
                                   payload_of(30), {.hops = 1, .options = {}});
  lab_.receive(kLan, lan_frame(packet));
  const Punted punted = expect_punt({"TTL", PuntReason::kTtlExpired, Drop::kTtlExpired});
  EXPECT_EQ(punted.bytes, packet) << "ICMP quotes the packet as it came";
}

/// Hosts ask by unicast whether whom they send to is there; that is control's to answer, for a peer
/// as for the port. What only looks like it goes its way.
TEST_F(SlowPathTest, solicitations_are_not_forwarded) {
  struct Row {
    const char* name;
    uint8_t type;
    uint8_t hops;
    bool answered;
  };
  for (const Row& row :
       {Row{"solicitation", 135, 255, true}, Row{"it was forwarded", 135, 254, false},
        Row{"advertisement", 136, 255, false}, Row{"ping", 128, 255, false}}) {
    Bytes icmp(32);
    icmp[0] = row.type;
    Bytes packet = ipv6_packet(address("fd00::99"), session_.host(Family::kIpv6), icmp,
                               {.protocol = kIcmpV6Protocol, .hops = row.hops, .options = {}});
    fix_icmpv6(packet);
    lab_.receive(kLan, ip_frame(kPortMac, kHostMac, packet));
    lab_.poll();
    const auto punted = lab_.punted(PuntClass::kSlowPath);
    EXPECT_EQ(punted.size(), row.answered ? 1U : 0U) << row.name;
    EXPECT_EQ(lab_.sent(kWan).size(), row.answered ? 0U : 1U) << row.name;
    for (const Punted& each : punted) EXPECT_EQ(each.note.reason, PuntReason::kFrame);
  }
  EXPECT_EQ(lab_.all_drops(), 0U) << lab_.drop_text();
}

TEST_F(SlowPathTest, no_route) {
  lab_.receive(kLan, lan_frame(ipv4_packet(lan_host(Family::kIpv4), address("198.51.100.1"),
                                           payload_of(30))));
  expect_punt({"no route", PuntReason::kNoRoute, Drop::kNoRoute});
}

TEST_F(SlowPathTest, what_control_sends) {
  PacketNote transmit;
  transmit.action = InjectAction::kTransmit;
  transmit.port = kWan;
  const Bytes frame = ethernet_frame(kPeerMac, kPortMac, kArpType, Bytes(28, 7));
  lab_.inject(frame, transmit);
  transmit.port = 9;
  lab_.inject(frame, transmit);
  PacketNote route;
  route.action = InjectAction::kRoute;
  const Bytes echo = ipv4_packet(address("10.0.0.1"), session_.host(Family::kIpv4), payload_of(50),
                                 {.protocol = kIcmpProtocol, .options = {}});
  lab_.inject(echo, route);
  const Bytes inward = ipv6_packet(address("fd00::1"), address("fd00::2"), payload_of(50));
  lab_.inject(inward, route);
  lab_.inject(Bytes(20, 0), route);
  lab_.inject(ipv4_packet(address("10.0.0.1"), address("192.88.99.1"), payload_of(9)), route);
  lab_.poll();

  const auto wan = lab_.sent(kWan);
  ASSERT_EQ(wan.size(), 2U);
  EXPECT_EQ(wan[0], frame);
  EXPECT_EQ(session_.open_at_peer(wan[1])->inner, echo) << "our own packets spend no hop";
  const auto lan = lab_.sent(kLan);
  ASSERT_EQ(lan.size(), 1U);
  EXPECT_EQ(lan[0], ip_frame(kHostMac, Mac48{}, inward));
  EXPECT_EQ(lab_.drops(Drop::kTxFull), 1U);
  EXPECT_EQ(lab_.drops(Drop::kInnerHeader), 1U);
  EXPECT_EQ(lab_.drops(Drop::kNoRoute), 1U);
  EXPECT_EQ(lab_.all_drops(), 3U);
  EXPECT_TRUE(lab_.punted(PuntClass::kSlowPath).empty());
}

TEST_F(SlowPathTest, what_control_made_while_it_owned_leaves_before_the_proof_ends) {
  const Bytes frame = ethernet_frame(kPeerMac, kPortMac, kArpType, Bytes(28, 7));
  const uint64_t now = rte_rdtsc();
  const uint64_t later = now + 60 * rte_get_tsc_hz();
  struct Made {
    const char* name;
    uint64_t proof, silent_after;
    bool leaves;
  };
  for (const Made& each :
       {Made{"proven", later, later, true}, Made{"the worker stood still", now, later, false},
        Made{"given up meanwhile", later, 0, false}, Made{"needs no proof", 0, 0, true}}) {
    lab_.sessions().set_silent_after(each.silent_after);
    PacketNote note;
    note.action = InjectAction::kTransmit;
    note.port = kWan;
    note.tsc = each.proof;
    const uint64_t dropped = lab_.drops(Drop::kNotOwned);
    lab_.inject(frame, note);
    lab_.poll();
    EXPECT_EQ(lab_.sent(kWan).size(), each.leaves ? 1U : 0U) << each.name;
    EXPECT_EQ(lab_.drops(Drop::kNotOwned) - dropped, each.leaves ? 0U : 1U) << each.name;
  }
  lab_.sessions().set_silent_after(kNoDeadline);
}

TEST_F(SlowPathTest, inner_options_and_fragments_are_carried) {
  const IpFields options{.options = Bytes(8, 1)};
  const IpFields fragment{.options = {}, .fragment = 0x2010};
  for (const IpFields& fields : {options, fragment}) {
    const Bytes out =
        ipv4_packet(lan_host(Family::kIpv4), session_.host(Family::kIpv4), payload_of(64), fields);
    lab_.receive(kLan, lan_frame(out));
    lab_.poll();
    const auto sent = lab_.sent(kWan);
    ASSERT_EQ(sent.size(), 1U) << lab_.drop_text();
    EXPECT_EQ(session_.open_at_peer(sent[0])->inner, forwarded(out));
    const Bytes in =
        ipv4_packet(session_.host(Family::kIpv4), lan_host(Family::kIpv4), payload_of(64), fields);
    from_tunnel(in);
    lab_.poll();
    const auto delivered = lab_.sent(kLan);
    ASSERT_EQ(delivered.size(), 1U) << lab_.drop_text();
    EXPECT_EQ(delivered[0], ip_frame(kHostMac, Mac48{}, forwarded(in)));
  }
}

TEST(Handoff, strays_go_to_the_lanes_owner_and_are_delivered_once) {
  Lab lab({.workers = 2});
  TestSession session(lab, {});
  const auto frame = [&](uint64_t sequence) {
    return session.seal_at_peer(from_peer(session, Family::kIpv4, 40), 0, sequence);
  };
  lab.receive(kWan, frame(0), 1);
  lab.poll();
  EXPECT_EQ(session.rx_lane(0).owner.load(), 1U);
  lab.receive(kWan, frame(1), 0);
  lab.receive(kWan, frame(0), 0);
  lab.receive(kWan, frame(2), 0);
  lab.poll();
  EXPECT_EQ(lab.sent(kLan).size(), 3U);
  EXPECT_EQ(lab.total(&WorkerCounters::handed_off), 3U);
  EXPECT_EQ(lab.drops(Drop::kReplayDuplicate), 1U);
  EXPECT_EQ(session.rx_lane(0).packets.load(), 3U);
}

TEST(Handoff, a_full_ring_is_a_named_drop) {
  Lab lab({.workers = 2, .handoff_ring = 4});
  TestSession session(lab, {});
  session.rx_lane(0).owner = 1;
  for (uint64_t sequence = 0; sequence < 10; ++sequence)
    lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 40), 0, sequence), 0);
  lab.worker(0).poll_once();
  EXPECT_EQ(lab.drops(Drop::kHandoffFull), 6U);
  lab.worker(1).poll_once();
  EXPECT_EQ(lab.sent(kLan).size(), 4U);
}

/// The index is somebody else's now: what was handed off under its earlier use is nobody's.
TEST(Handoff, a_record_installed_anew_on_the_way) {
  Lab lab({.workers = 2});
  TestSession session(lab, {});
  session.rx_lane(0).owner = 1;
  lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 40), 0, 1), 0);
  lab.worker(0).poll_once();
  session.install_anew();
  lab.worker(1).poll_once();
  EXPECT_TRUE(lab.sent(kLan).empty());
  EXPECT_EQ(lab.drops(Drop::kUnknownIndex), 1U);
  lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 40), 0, 2), 0);
  lab.poll();
  EXPECT_EQ(lab.sent(kLan).size(), 1U);
}

TEST(Handoff, a_record_retired_on_the_way) {
  Lab lab({.workers = 2});
  TestSession session(lab, {});
  session.rx_lane(0).owner = 1;
  lab.receive(kWan, session.seal_at_peer(from_peer(session, Family::kIpv4, 40), 0, 1), 0);
  lab.worker(0).poll_once();
  lab.sessions().store_rx(session.rx().index, nullptr);
  lab.worker(1).poll_once();
  EXPECT_EQ(lab.drops(Drop::kUnknownIndex), 1U);
}

/// Of messages that want public-key work.
void expect_rings_by_proof(uint8_t type) {
  SCOPED_TRACE("type " + std::to_string(type));
  constexpr size_t kPayload = 14 + 20 + 8;  // behind Ethernet, IPv4 and UDP
  Lab lab;
  TestSession session(lab, {.peer = PeerId{1}});
  Bytes message(sizeof(wire::Initiation));
  message[0] = type;
  const auto frame_with = [&](const Mac* cookie) {
    write_macs(lab.mac(), lab.mac_keys().mac1, cookie, message);
    return session.frame_at_peer(message);
  };
  const auto expect_ring = [&](PuntClass ring, const Bytes& frame, const char* name) {
    lab.receive(kWan, frame);
    lab.poll();
    const auto punted = lab.punted(ring);
    ASSERT_EQ(punted.size(), 1U) << name << ": " << lab.drop_text();
    EXPECT_EQ(punted[0].note.payload_offset, kPayload) << name;
    EXPECT_EQ(punted[0].note.payload_bytes, sizeof(wire::Initiation)) << name;
    EXPECT_EQ(punted[0].bytes, frame) << name;
  };
  expect_ring(PuntClass::kHandshake, frame_with(nullptr), "no secrets yet");

  CookieSecrets secrets{};
  const std::array<uint8_t, 16> bytes{1, 2, 3};
  lab.mac().expand(bytes, secrets.previous);
  lab.mac().expand(std::array<uint8_t, 16>{9}, secrets.current);
  lab.cookies().store(&secrets);
  const Endpoint source{address("192.0.2.2"), kPeerPort};
  const Mac cookie = cookie_for(lab.mac(), secrets.current, source);
  const Mac older = cookie_for(lab.mac(), secrets.previous, source);
  const Mac foreign = cookie_for(lab.mac(), secrets.current, {source.address, 1});
  expect_ring(PuntClass::kHandshake, frame_with(nullptr), "no cookie");
  expect_ring(PuntClass::kVerifiedHandshake, frame_with(&cookie), "cookie");
  expect_ring(PuntClass::kVerifiedHandshake, frame_with(&older), "cookie of the previous secret");
  expect_ring(PuntClass::kHandshake, frame_with(&foreign), "cookie of another source");
  EXPECT_EQ(lab.all_drops(), 0U) << lab.drop_text();
}

TEST(PuntRings, handshakes_by_the_proof_of_their_address) {
  expect_rings_by_proof(1);
}

TEST(PuntRings, inquiries_by_the_proof_of_their_address) {
  expect_rings_by_proof(8);
}

TEST(PuntRings, a_full_ring_is_a_named_drop_and_frames_keep_half_of_it) {
  Lab lab({.control_ring = 16});
  const Bytes nowhere = ip_frame(
      kPortMac, kHostMac, ipv4_packet(address("10.0.0.2"), address("203.0.113.1"), payload_of(8)));
  const Bytes arp =
      ethernet_frame(Mac48{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, kHostMac, kArpType, Bytes(28));
  for (int i = 0; i < 30; ++i) lab.receive(kLan, nowhere);
  lab.poll();
  for (int i = 0; i < 10; ++i) lab.receive(kLan, arp);
  lab.poll();
  EXPECT_EQ(lab.drops(Drop::kNoRoute), 30U);
  EXPECT_EQ(lab.drops(Drop::kControlRingFull), 3U);
  EXPECT_EQ(lab.punted(PuntClass::kSlowPath).size(), 16U);
}

}  // namespace
}  // namespace jvpn::test
