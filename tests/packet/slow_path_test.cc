// Pings, ICMP errors byte by byte, fragments, glean; and nothing crashes on any truncation.
#include <functional>
#include <random>

#include "control/neighbor/icmp.h"
#include "tests/packet/control_rig.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr const char* kPeerAddress = "10.77.0.2";
constexpr const char* kPeerAddress6 = "fd77::2";

class SlowPathTest : public ControlRig {
 protected:
  static Bytes udp(const char* from, const char* to, size_t payload, uint16_t fragment = 0x4000) {
    return ip_packet(address(from), address(to), udp_datagram(1000, 2000, payload_of(payload)),
                     {kUdpProtocol, 64, {}, fragment});
  }
  static bool icmp_sums_up(const Bytes& ip) {
    if (ip[0] >> 4 == 6) return icmpv6_sum(ip) == 0xFFFF;
    return internet_sum(ip.data(), 20) == 0xFFFF && internet_sum(&ip[20], ip.size() - 20) == 0xFFFF;
  }
};

TEST_F(SlowPathTest, AnswersPingsToPortAddresses) {
  const struct {
    const char *from, *to;
    uint16_t port;
    Mac48 mac;
  } cases[] = {{"192.0.2.7", "192.0.2.1", 0, kWanMac},
               {"2001:db8::7", "2001:db8::1", 0, kWanMac},
               {"10.0.0.7", "10.0.0.1", 1, kLanMac},
               {"fd00::7", "fd00::1", 1, kLanMac}};
  for (const auto& ping : cases) {
    const Bytes request = echo_request(ping.from, ping.to, 33);
    Bytes frame = ip_frame(ping.mac, kHostMac, request);
    frame.insert(frame.end(), 5, 0xEE);  // link padding
    punt(frame, PuntReason::kFrame, ping.port);
    const auto out = injected();
    ASSERT_EQ(out.size(), 1U) << ping.to;
    EXPECT_EQ(out[0].action, InjectAction::kTransmit);
    EXPECT_EQ(out[0].port, ping.port);
    Bytes expected = echo_request(ping.to, ping.from, 33);
    const bool v6 = request[0] >> 4 == 6;
    const size_t icmp = v6 ? 40 : 20;
    expected[icmp] = v6 ? 129 : 0;
    put16(expected, icmp + 2, 0);
    if (v6)
      fix_icmpv6(expected);
    else
      put16(expected, 22,
            static_cast<uint16_t>(~internet_sum(&expected[20], expected.size() - 20)));
    EXPECT_EQ(out[0].bytes, ip_frame(kHostMac, ping.mac, expected)) << ping.to;
  }
}

TEST_F(SlowPathTest, AnswersPingsOutOfTheTunnel) {
  punt(echo_request(kPeerAddress, "10.0.0.1"), PuntReason::kLocal);
  punt(echo_request(kPeerAddress6, "fd00::1"), PuntReason::kLocal);
  const auto out = injected();
  ASSERT_EQ(out.size(), 2U);
  for (const Injected& reply : out) {
    EXPECT_EQ(reply.action, InjectAction::kRoute);
    EXPECT_TRUE(icmp_sums_up(reply.bytes));
  }
  EXPECT_EQ(out[0].bytes[20], 0);
  EXPECT_EQ(out[1].bytes[40], 129);
}

TEST_F(SlowPathTest, TellsTheMtuByteByByte) {
  const Bytes offender = udp(kPeerAddress, "10.0.0.7", 1400);
  punt(offender, PuntReason::kTooBig, 1, 1'300);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].action, InjectAction::kRoute);
  Bytes icmp{3, 4, 0, 0, 0, 0, 0x05, 0x14};
  append(icmp, Bytes(offender.begin(), offender.begin() + 576 - 28));
  put16(icmp, 2, static_cast<uint16_t>(~internet_sum(icmp.data(), icmp.size())));
  EXPECT_EQ(out[0].bytes,
            ip_packet(address("10.0.0.1"), address(kPeerAddress), icmp, {kIcmpProtocol, 64, {}}));
}

TEST_F(SlowPathTest, TellsTheMtuInIpv6) {
  const Bytes offender = udp(kPeerAddress6, "fd00::7", 1400);
  punt(offender, PuntReason::kTooBig, 1, 1'340);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  Bytes icmp{2, 0, 0, 0, 0, 0, 0x05, 0x3C};
  append(icmp, Bytes(offender.begin(), offender.begin() + 1280 - 48));
  Bytes expected =
      ip_packet(address("fd00::1"), address(kPeerAddress6), icmp, {kIcmpV6Protocol, 64, {}});
  fix_icmpv6(expected);
  EXPECT_EQ(out[0].bytes, expected);
}

TEST_F(SlowPathTest, ErrorsByReason) {
  const struct {
    PuntReason reason;
    unsigned v4, v6;  ///< type and code
  } cases[] = {{PuntReason::kTtlExpired, 0x0B00, 0x0300},
               {PuntReason::kNoRoute, 0x0300, 0x0100},
               {PuntReason::kLocal, 0x0303, 0x0104}};
  for (const auto& error : cases) {
    punt(udp(kPeerAddress, "10.0.0.1", 10), error.reason);
    punt(udp(kPeerAddress6, "fd00::1", 10), error.reason);
    const auto out = injected();
    ASSERT_EQ(out.size(), 2U);
    EXPECT_EQ(get16(out[0].bytes, 20), error.v4);
    EXPECT_EQ(get16(out[1].bytes, 40), error.v6);
    for (const Injected& sent : out) EXPECT_TRUE(icmp_sums_up(sent.bytes));
  }
}

TEST_F(SlowPathTest, SomePacketsEarnNoError) {
  Bytes icmp_error(36);
  icmp_error[0] = 3;
  Bytes icmp6_error(60);
  icmp6_error[0] = 1;
  const struct {
    const char* name;
    Bytes packet;
  } cases[] = {
      {"ICMP error",
       ip_packet(address(kPeerAddress), address("10.9.9.9"), icmp_error, {kIcmpProtocol, 1, {}})},
      {"ICMPv6 error", ip_packet(address(kPeerAddress6), address("fd09::1"), icmp6_error,
                                 {kIcmpV6Protocol, 1, {}})},
      {"truncated ICMP",
       ip_packet(address(kPeerAddress), address("10.9.9.9"), {8, 0}, {kIcmpProtocol, 1, {}})},
      {"to a group", udp(kPeerAddress, "224.0.0.9", 8)},
      {"to an IPv6 group", udp(kPeerAddress6, "ff02::9", 8)},
      {"from a group", udp("239.1.1.1", "10.9.9.9", 8)},
      {"from nobody", udp("::", "fd09::1", 8)},
      {"from 0.0.0.0", udp("0.0.0.0", "10.9.9.9", 8)},
      {"later fragment", udp(kPeerAddress, "10.9.9.9", 8, 0x00B9)},
  };
  for (const auto& barred : cases) {
    punt(barred.packet, PuntReason::kTtlExpired);
    EXPECT_TRUE(injected().empty()) << barred.name;
  }
  EXPECT_EQ(slow_path_->counters().errors_barred, std::size(cases));
}

TEST_F(SlowPathTest, ErrorsAreRateLimited) {
  for (uint32_t i = 0; i < SlowPath::kErrorsPerSecond + 100; ++i) {
    punt(udp(kPeerAddress, "10.9.9.9", 8), PuntReason::kNoRoute);
    injected();
  }
  EXPECT_EQ(slow_path_->counters().errors_sent, SlowPath::kErrorsPerSecond);
  EXPECT_EQ(slow_path_->counters().errors_limited, 100U);
  pass(1'000);
  punt(udp(kPeerAddress, "10.9.9.9", 8), PuntReason::kNoRoute);
  EXPECT_EQ(injected().size(), 1U);
}

TEST_F(SlowPathTest, CutsPacketsWithoutDf) {
  for (const uint16_t mtu : std::initializer_list<uint16_t>{68, 576, 1'000, 1'300}) {
    const Bytes whole = udp(kPeerAddress, "10.0.0.7", 1'400, 0);
    punt(whole, PuntReason::kTooBig, 1, mtu);
    Bytes joined(whole.begin(), whole.begin() + 20);
    const auto out = injected();
    for (size_t i = 0; i < out.size(); ++i) {
      const Bytes& part = out[i].bytes;
      EXPECT_LE(part.size(), mtu);
      EXPECT_EQ(get16(part, 2), part.size());
      EXPECT_EQ(internet_sum(part.data(), 20), 0xFFFF);
      const unsigned field = get16(part, 6);
      EXPECT_EQ((field & 0x1FFF) * 8, joined.size() - 20);
      EXPECT_EQ((field & 0x2000) != 0, i + 1 < out.size());
      joined.insert(joined.end(), part.begin() + 20, part.end());
    }
    EXPECT_EQ(joined, whole) << "mtu " << mtu;
  }
}

TEST_F(SlowPathTest, NeverTellsIpv6LessThanItsLeastMtu) {
  punt(udp(kPeerAddress6, "fd00::7", 1'400), PuntReason::kTooBig, 1, 1'220);
  const auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(get16(out[0].bytes, 46), 1'280U);
}

TEST_F(SlowPathTest, CutsSealedFramesForTheirPath) {
  for (const bool v6 : {false, true}) {
    const Bytes whole = v6 ? udp("2001:db8::1", "2001:db8::7", 1'300)
                           : udp("192.0.2.1", "192.0.2.7", 1'300);  // DF, as we write it
    punt(ip_frame(kHostMac, kWanMac, whole), PuntReason::kOversize, 0, 1'280);
    Bytes joined(whole.begin(), whole.begin() + (v6 ? 40 : 20));
    const auto out = injected();
    ASSERT_EQ(out.size(), 2U);
    for (size_t i = 0; i < out.size(); ++i) {
      EXPECT_EQ(out[i].action, InjectAction::kTransmit);
      const Bytes part(out[i].bytes.begin() + 14, out[i].bytes.end());
      EXPECT_LE(part.size(), 1'280U);
      const unsigned field = v6 ? get16(part, 42) : get16(part, 6);
      EXPECT_EQ(v6 ? field & 0xFFF8 : (field & 0x1FFF) * 8, joined.size() - (v6 ? 40 : 20));
      EXPECT_EQ((field & (v6 ? 1 : 0x2000)) != 0, i == 0);
      EXPECT_EQ(field & (v6 ? 0 : 0x4000), 0U) << "no DF";
      if (v6) {
        EXPECT_EQ(part[6], 44);
        EXPECT_EQ(part[40], kUdpProtocol);
        EXPECT_EQ(get16(part, 4), part.size() - 40);
        EXPECT_NE(get16(part, 46), 0U) << "an id, as above";
      } else {
        EXPECT_EQ(internet_sum(part.data(), 20), 0xFFFF);
        EXPECT_NE(get16(part, 4), 0U) << "an id, so that fragments of two packets don't mix";
      }
      joined.insert(joined.end(), part.begin() + (v6 ? 48 : 20), part.end());
    }
    EXPECT_EQ(Bytes(joined.begin() + 40, joined.end()), Bytes(whole.begin() + 40, whole.end()));
    EXPECT_EQ(joined.size(), whole.size());
  }
  EXPECT_EQ(slow_path_->counters().outer_fragmented, 2U);
}

TEST_F(SlowPathTest, CutsFragmentsAndBlanksOptions) {
  const Bytes options{0x94, 4, 0, 0, 7, 3, 4, 0};  // router alert (copied), record route (not)
  const Bytes whole = ip_packet(address(kPeerAddress), address("10.0.0.7"), payload_of(100),
                                {kUdpProtocol, 64, options, 0x2000 | 10});
  punt(whole, PuntReason::kTooBig, 1, 28 + 64);
  const auto out = injected();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(get16(out[0].bytes, 6), 0x2000U | 10);
  EXPECT_EQ(get16(out[1].bytes, 6), 0x2000U | 18);  // more followed the original too
  EXPECT_EQ(Bytes(out[0].bytes.begin() + 20, out[0].bytes.begin() + 28), options);
  EXPECT_EQ(Bytes(out[1].bytes.begin() + 20, out[1].bytes.begin() + 28),
            (Bytes{0x94, 4, 0, 0, 1, 1, 1, 0}));
}

TEST_F(SlowPathTest, GleanWaitsForTheNextHop) {
  ASSERT_TRUE(inside_->install(now_));
  injected();
  const Bytes there =
      udp(kPeerAddress, "10.50.1.1", 64);  // behind 10.0.0.9, which install() asks for
  punt(there, PuntReason::kGlean);
  EXPECT_TRUE(injected().empty());
  neighbors_->on_arp(now_, 1, arp(2, kHostMac, "10.0.0.9", kLanMac, "10.0.0.1"));
  auto out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, there);
  punt(udp(kPeerAddress, "172.16.0.1", 8), PuntReason::kGlean);  // nothing leads there
  out = injected();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(get16(out[0].bytes, 20), 0x0300U);
}

TEST_F(SlowPathTest, IgnoresWhatItDoesNotServe) {
  punt(ip_frame(kWanMac, kHostMac, udp("192.0.2.7", "192.0.2.1", 8)), PuntReason::kFrame, 0);
  punt(ip_frame(kWanMac, kHostMac, echo_request("192.0.2.7", "192.0.2.9")), PuntReason::kFrame, 0);
  punt(echo_request("224.0.0.1", "10.0.0.1"), PuntReason::kLocal);
  EXPECT_TRUE(injected().empty());
  EXPECT_EQ(slow_path_->counters().ignored, 3U);
}

class SlowPathFuzz : public SlowPathTest {
 protected:
  std::vector<std::pair<Bytes, PuntReason>> sound() {
    return {
        {ethernet_frame(kWanMac, kHostMac, kArpType,
                        arp(1, kHostMac, "192.0.2.7", {}, "192.0.2.1")),
         PuntReason::kFrame},
        {ip_frame(kLanMac, kHostMac, nd(135, "fd00::7", "ff02::1:ff00:1", "fd00::1", kHostMac)),
         PuntReason::kFrame},
        {ip_frame(kLanMac, kHostMac, nd(136, "fd00::7", "fd00::1", "fd00::7", kHostMac, 0x60)),
         PuntReason::kFrame},
        {ip_frame(kLanMac, kHostMac, echo_request("10.0.0.7", "10.0.0.1")), PuntReason::kFrame},
        {ip_frame(kLanMac, kHostMac, echo_request("fd00::7", "fd00::1")), PuntReason::kFrame},
        {echo_request(kPeerAddress, "10.0.0.1"), PuntReason::kLocal},
        {echo_request(kPeerAddress6, "fd00::1"), PuntReason::kLocal},
        {udp(kPeerAddress, "10.0.0.7", 40), PuntReason::kGlean},
        {udp(kPeerAddress, "10.0.0.7", 40, 0), PuntReason::kTooBig},
        {udp(kPeerAddress6, "fd00::7", 40), PuntReason::kTooBig},
        {udp(kPeerAddress, "10.0.0.7", 40), PuntReason::kTtlExpired},
        {udp(kPeerAddress6, "fd00::7", 40), PuntReason::kNoRoute},
        {ip_frame(kHostMac, kWanMac, udp("192.0.2.1", "192.0.2.7", 90)), PuntReason::kOversize},
        {ip_frame(kHostMac, kWanMac, udp("2001:db8::1", "2001:db8::7", 90)), PuntReason::kOversize},
    };
  }
};

TEST_F(SlowPathFuzz, EveryTruncation) {
  for (const auto& [bytes, reason] : sound()) {
    for (size_t length = 0; length <= bytes.size(); ++length) {
      punt(Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length)), reason, 1, 60);
      injected();
    }
  }
}

TEST_F(SlowPathFuzz, RandomBytesOverSoundPackets) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto packets = sound();
  for (int round = 0; round < 20'000; ++round) {
    auto [bytes, reason] = packets[random() % packets.size()];
    for (uint64_t spoil = random() % 4; spoil > 0; --spoil)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    punt(bytes, reason, static_cast<uint16_t>(random() % 3), static_cast<uint16_t>(random() % 90));
    injected();
    if (round % 64 == 0) pass(500);
  }
}

}  // namespace
}  // namespace jvpn::test
