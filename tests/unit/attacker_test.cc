// The attacker on the lab's wire: what it can tell of a frame, and what its orders do to frames.
// Frames are built here as the programs send them.
#include "lab/link/attacker.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/checksum.h"
#include "tests/support/rooms.h"

namespace jvpn::lab {
namespace {

constexpr uint16_t kPort = wire::kDefaultPort;
constexpr size_t kClient = 0;
constexpr size_t kGateway = 1;
constexpr size_t kRequestBytes = sizeof(wire::ReattachRequest) + wire::kTransportOverhead;

using Frame = std::vector<uint8_t>;

IpAddress address(std::string_view text) {
  return *IpAddress::parse(text);
}

void put16(Frame& frame, size_t at, size_t value) {
  frame[at] = static_cast<uint8_t>(value >> 8);
  frame[at + 1] = static_cast<uint8_t>(value);
}

// UDP with a message of `bytes` that are the type, three zeros, then `number` everywhere.
Frame message(Family family, wire::MessageType type, size_t bytes, uint8_t number = 7) {
  const bool v4 = family == Family::kIpv4;
  const size_t udp = 14 + (v4 ? 20U : 40U);
  Frame frame(udp + 8 + bytes, number);
  put16(frame, 12, v4 ? 0x0800 : 0x86DD);
  if (v4) {
    frame[14] = 0x45;
    put16(frame, 16, frame.size() - 14);
    put16(frame, 20, 0x4000);
    frame[23] = 17;
  } else {
    frame[14] = 0x60;
    put16(frame, 18, frame.size() - udp);
    frame[20] = 17;
  }
  put16(frame, udp, 40'000);
  put16(frame, udp + 2, kPort);
  put16(frame, udp + 4, 8 + bytes);
  if (bytes > 0) frame[udp + 8] = static_cast<uint8_t>(type);
  for (size_t i = 1; i < std::min<size_t>(bytes, 4); ++i) frame[udp + 8 + i] = 0;
  return frame;
}

Frame control(size_t bytes, uint8_t number = 7) {
  return message(Family::kIpv4, wire::MessageType::kControl, bytes, number);
}

bool sound_udp_checksum(const Frame& frame, const JvpFrame& at) {
  const size_t bytes = frame.size() - at.udp;
  const uint64_t pseudo = pseudo_header_sum(frame.data() + 14, 17, bytes);
  return checksum_fold(checksum_add({frame.data() + at.udp, bytes}, pseudo)) == 0xFFFF;
}

bool sound_ip_checksum(const Frame& frame) {
  return checksum_fold(checksum_add({frame.data() + 14, 20}, 0)) == 0xFFFF;
}

struct Left {
  size_t to;
  Frame frame;
  Nanos delay;
};

class AttackerTest : public testing::Test {
 protected:
  std::string order(std::string_view text) {
    const auto done = attacker.order(text, leave);
    return done ? *done : "error: " + done.error().message;
  }
  // What leaves when that frame is about to, towards the gateway.
  std::vector<Left> pass(const Frame& frame, size_t to = kGateway) {
    left.clear();
    attacker.pass(to, frame, leave);
    return left;
  }

  std::vector<Left> left;
  Attacker::Leave leave = [this](size_t to, std::span<const uint8_t> frame, Nanos delay) {
    left.push_back({to, {frame.begin(), frame.end()}, delay});
  };
  Attacker attacker{{"client", "gw"}, kPort};
};

TEST(JvpFrameTest, TellsMessagesFromOtherFrames) {
  const Frame good = control(104);
  Frame arp = good;
  put16(arp, 12, 0x0806);
  Frame fragment = good;
  put16(fragment, 20, 0x2000);
  Frame tcp = good;
  tcp[23] = 6;
  Frame elsewhere = good;
  put16(elsewhere, 36, 53);
  Frame cut_short(good.begin(), good.end() - 1);
  const struct {
    const char* name;
    Frame frame;
    bool message;
  } cases[] = {{"IPv4", good, true},
               {"IPv6", message(Family::kIpv6, wire::MessageType::kData, 200), true},
               {"ARP", arp, false},
               {"fragment", fragment, false},
               {"TCP", tcp, false},
               {"other port", elsewhere, false},
               {"cut short", cut_short, false},
               {"nothing", {}, false},
               {"less than a preamble", control(3), false}};
  for (const auto& c : cases) EXPECT_EQ(parse_jvp(c.frame, kPort).has_value(), c.message) << c.name;
}

TEST(JvpFrameTest, KindsByTypeAndLength) {
  const struct {
    wire::MessageType type;
    size_t bytes;
    std::string_view kinds;  // that fit, besides any
  } cases[] = {
      {wire::MessageType::kInitiation, sizeof(wire::Initiation), "handshake"},
      {wire::MessageType::kCookieReply, sizeof(wire::SealedReply), "handshake"},
      {wire::MessageType::kData, kRequestBytes, "data"},
      {wire::MessageType::kControl, kRequestBytes, "control request"},
      {wire::MessageType::kControl, 1'440 + wire::kTransportOverhead, "control probe"},
      {wire::MessageType::kControl, sizeof(wire::ReattachReject) + wire::kTransportOverhead,
       "control answer"},
      {wire::MessageType::kControl, sizeof(wire::ReattachResponse) + wire::kTransportOverhead,
       "control response"},
  };
  for (const auto& c : cases) {
    const auto at = parse_jvp(message(Family::kIpv4, c.type, c.bytes), kPort);
    ASSERT_TRUE(at);
    std::string kinds;
    for (const char* name :
         {"handshake", "data", "control", "probe", "request", "response", "answer"})
      if (is(*parse_kind(name), *at)) kinds += (kinds.empty() ? "" : " ") + std::string(name);
    EXPECT_EQ(kinds, c.kinds);
    EXPECT_TRUE(is(*parse_kind("any"), *at));
  }
  EXPECT_FALSE(parse_kind("heartbeat"));
}

TEST(JvpFrameTest, AnotherSourceWithSoundChecksums) {
  const struct {
    Family family;
    const char* source;
    size_t at;
    size_t bytes;
  } cases[] = {{Family::kIpv4, "192.0.2.66", 26, 4}, {Family::kIpv6, "2001:db8::66", 22, 16}};
  for (const auto& c : cases) {
    Frame frame = message(c.family, wire::MessageType::kData, 101);
    frame.resize(frame.size() + 5);  // Ethernet's padding
    const JvpFrame at = *parse_jvp(frame, kPort);
    const auto moved = with_source(frame, at, address(c.source));
    ASSERT_TRUE(moved) << c.source;
    const auto source = address(c.source);
    EXPECT_TRUE(std::equal(source.bytes.begin(), source.bytes.begin() + c.bytes,
                           moved->begin() + static_cast<std::ptrdiff_t>(c.at)));
    EXPECT_EQ(moved->size(), frame.size() - 5);
    EXPECT_TRUE(sound_udp_checksum(*moved, at)) << c.source;
    EXPECT_TRUE(c.family == Family::kIpv6 || sound_ip_checksum(*moved));
    EXPECT_TRUE(std::equal(moved->begin() + static_cast<std::ptrdiff_t>(at.payload), moved->end(),
                           frame.begin() + static_cast<std::ptrdiff_t>(at.payload)));
    const char* other = c.family == Family::kIpv4 ? "2001:db8::66" : "192.0.2.66";
    EXPECT_FALSE(with_source(frame, at, address(other)));
  }
}

TEST(JvpFrameTest, TruncatedIsStillASoundDatagram) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    for (const size_t bytes : {1, 5, 99, 1'000}) {
      const Frame frame = message(family, wire::MessageType::kData, 100);
      const JvpFrame before = *parse_jvp(frame, kPort);
      const Frame cut = truncated(frame, before, bytes);
      EXPECT_EQ(cut.size(), before.payload + (bytes < 100 ? 100 - bytes : 1));
      EXPECT_TRUE(sound_udp_checksum(cut, before));
      EXPECT_EQ(parse_jvp(cut, kPort).has_value(), bytes <= 96);
      EXPECT_TRUE(family == Family::kIpv6 || sound_ip_checksum(cut));
    }
  }
}

TEST_F(AttackerTest, DoesNothingWithoutOrders) {
  const Frame frame = control(kRequestBytes);
  const auto out = pass(frame);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].frame, frame);
  EXPECT_EQ(out[0].to, kGateway);
  EXPECT_EQ(out[0].delay, 0U);
  EXPECT_EQ(order("replay to=gw"), "replayed=0");
}

TEST_F(AttackerTest, ReplaysTheLastOfAKindAndDirection) {
  EXPECT_EQ(order("record"), "recording");
  for (uint8_t i = 0; i < 5; ++i) pass(control(kRequestBytes, i));
  pass(message(Family::kIpv4, wire::MessageType::kData, 300));
  pass(control(kRequestBytes, 9), kClient);
  left.clear();
  EXPECT_EQ(order("replay to=gw kind=request count=2"), "replayed=2");
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].frame, control(kRequestBytes, 3));
  EXPECT_EQ(left[1].frame, control(kRequestBytes, 4));
  EXPECT_EQ(order("replay to=gw"), "replayed=6");
  EXPECT_EQ(order("replay to=client"), "replayed=1");
  left.clear();
  EXPECT_EQ(order("replay to=gw kind=data truncate=7 source=192.0.2.66"), "replayed=1");
  ASSERT_EQ(left.size(), 1U);
  const auto at = parse_jvp(left[0].frame, kPort);
  ASSERT_TRUE(at);
  EXPECT_EQ(at->payload_bytes, 293U);
  EXPECT_EQ(left[0].frame[29], 66);
  EXPECT_TRUE(sound_udp_checksum(left[0].frame, *at));
}

TEST_F(AttackerTest, RulesAreForAKindADirectionAndACount) {
  EXPECT_EQ(order("drop to=gw kind=request count=2"), "rules=1");
  EXPECT_EQ(pass(control(kRequestBytes + 1)).size(), 1U);
  EXPECT_EQ(pass(control(kRequestBytes), kClient).size(), 1U);
  EXPECT_EQ(order("status"), "tampered=0 rules=1");
  EXPECT_EQ(pass(control(kRequestBytes)).size(), 0U);
  EXPECT_EQ(pass(control(kRequestBytes)).size(), 0U);
  EXPECT_EQ(pass(control(kRequestBytes)).size(), 1U);
  EXPECT_EQ(order("none"), "tampered=2 rules=0");
}

TEST_F(AttackerTest, DelaysTruncatesRedirects) {
  order("delay to=gw kind=request ms=6000");
  order("truncate to=gw kind=control bytes=3");
  order("redirect to=gw source=192.0.2.66");
  const auto delayed = pass(control(kRequestBytes));
  ASSERT_EQ(delayed.size(), 1U);
  EXPECT_EQ(delayed[0].delay, 6'000 * kMillisecond);
  EXPECT_EQ(delayed[0].frame, control(kRequestBytes));
  const auto cut = pass(control(kRequestBytes + 1));
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_EQ(parse_jvp(cut[0].frame, kPort)->payload_bytes, kRequestBytes - 2);
  const auto moved = pass(message(Family::kIpv4, wire::MessageType::kData, 100));
  ASSERT_EQ(moved.size(), 1U);
  EXPECT_EQ(moved[0].frame[29], 66);
  EXPECT_EQ(order("none"), "tampered=3 rules=0");
  EXPECT_EQ(pass(control(kRequestBytes))[0].delay, 0U);
}

TEST_F(AttackerTest, ReversesSoManyAtATimeAndLetsTheRestGo) {
  order("reverse to=gw kind=control of=3");
  EXPECT_EQ(pass(control(50, 1)).size(), 0U);
  EXPECT_EQ(pass(control(50, 2)).size(), 0U);
  const auto out = pass(control(50, 3));
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0].frame, control(50, 3));
  EXPECT_EQ(out[2].frame, control(50, 1));
  EXPECT_EQ(pass(control(50, 4)).size(), 0U);
  left.clear();
  EXPECT_EQ(order("none"), "tampered=4 rules=0");
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].frame, control(50, 4));
}

TEST_F(AttackerTest, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected record"},
      {"hide to=gw", "expected record"},
      {"drop", "to: expected client or gw"},
      {"drop to=lan", "to=lan"},
      {"drop to=gw kind=love", "kind=love"},
      {"drop to=gw count=-1", "count=-1"},
      {"drop to=gw count", "count="},
      {"redirect to=gw", "source"},
      {"redirect to=gw source=nowhere", "source=nowhere"},
      {"reverse to=gw of=1", "of="},
  };
  for (const auto& [text, says] : cases) {
    const std::string told = order(text);
    EXPECT_TRUE(told.starts_with("error: ")) << text;
    EXPECT_NE(told.find(says), told.npos) << text << ": " << told;
  }
  EXPECT_EQ(pass(control(50)).size(), 1U);  // no rule came of it
}

}  // namespace
}  // namespace jvpn::lab
