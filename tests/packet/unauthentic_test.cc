// Whatever comes that no peer has just sent: bit flips of each captured message, replays from other
// addresses, other orders, cut and grown ones, noise. Nothing goes through, and no byte of a
// session changes. JVPN_UNAUTHENTIC=N tries so many packets.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/checksum.h"
#include "tests/packet/worker_fixture.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kPackets = 100'000;
constexpr size_t kChunk = 1'024;  ///< packets between two looks at the sessions
constexpr size_t kOuterV4 = 14 + 20 + 8;
constexpr size_t kOuterV6 = 14 + 40 + 8;

uint64_t packets_to_try() {
  const char* text = std::getenv("JVPN_UNAUTHENTIC");
  return text == nullptr ? rounds(kPackets) : std::strtoull(text, nullptr, 0);
}

/// What somebody on the way has: frames that arrived, and some that he kept from arriving.
struct Captured {
  Bytes frame;
  size_t message;  ///< where it begins in the frame
  bool arrived;
};

class Unauthentic : public testing::Test {
 protected:
  Unauthentic() {
    uint32_t peer = 0;
    for (const Suite suite : {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305}) {
      for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
        SessionSpec spec{.peer = PeerId{++peer}, .suite = suite, .outer = outer};
        sessions_.push_back(std::make_unique<TestSession>(lab_, spec));
        exchange(*sessions_.back());
      }
    }
    for (const uint8_t type : {uint8_t{1}, uint8_t{2}, uint8_t{3}})
      for (const size_t bytes : {1U, 64U, 148U, 600U})
        capture(*sessions_.front(), handshake_like(type, bytes), false);
    lab_.sent(kLan);
    drain();
  }

  /// Honest traffic, part of which never arrives.
  void exchange(const TestSession& session) {
    const Bytes inner = ip_packet(session.host(Family::kIpv4), address("10.0.0.2"),
                                  udp_datagram(2000, 1000, payload_of(60)));
    for (uint64_t sequence = 0; sequence < 90; ++sequence) {
      const auto lane = static_cast<uint16_t>(sequence % 3);  // nobody has claimed the fourth
      const bool arrives = sequence % 3 != 2 || sequence < 60;
      capture(session, session.seal_at_peer(inner, lane, sequence * 7),
              arrives && sequence % 5 != 0);
    }
    for (uint64_t counter = 0; counter < 20; ++counter)
      capture(session, session.control_at_peer(payload_of(24), counter), counter % 2 == 0);
    capture(session, session.seal_at_peer(inner, 3, 1), false);
    lab_.poll();
    drain();
  }

  void capture(const TestSession& session, Bytes frame, bool arrives) {
    if (arrives) lab_.receive(kWan, frame);
    while (lab_.poll() != 0) {
    }
    const bool v4 = session.spec().outer == Family::kIpv4;
    captured_.push_back({std::move(frame), v4 ? kOuterV4 : kOuterV6, arrives});
  }

  Bytes handshake_like(uint8_t type, size_t bytes) const {
    Bytes message = payload_of(bytes);
    message[0] = type;
    return sessions_.front()->frame_at_peer(message);
  }

  size_t at_random(size_t below) { return random_() % below; }

  Bytes flipped(const Captured& from) {
    Bytes frame = from.frame;
    const size_t bits = (frame.size() - from.message) * 8;
    const size_t flips = 1 + at_random(3);
    for (size_t i = 0; i < flips; ++i) {
      const size_t bit = at_random(bits);
      frame[from.message + bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
    }
    return frame == from.frame ? flipped(from) : frame;
  }
  /// Cut, or grown by noise: whose lengths are right.
  Bytes resized(const Captured& from) {
    const auto begin = from.frame.begin() + static_cast<long>(from.message);
    Bytes message(begin, from.frame.end());
    const size_t before = message.size();
    while (message.size() == before) message.resize(1 + at_random(before + 40));
    for (size_t i = before; i < message.size(); ++i) message[i] = static_cast<uint8_t>(random_());
    return from.message == kOuterV4 ? sessions_[0]->frame_at_peer(message)
                                    : sessions_[1]->frame_at_peer(message);
  }
  /// A receiver index that exists, a lane that may, and noise.
  Bytes noise() {
    Bytes message(16 + 16 + at_random(200));
    for (uint8_t& byte : message) byte = static_cast<uint8_t>(random_());
    const wire::TransportHeader header{
        at_random(2) == 0 ? wire::MessageType::kData : wire::MessageType::kControl,
        {},
        sessions_[at_random(sessions_.size())]->rx().index.value,
        wire::make_counter(LaneId{static_cast<uint16_t>(at_random(6))}, random_() >> 20) ^
            SessionSpec{}.mask};
    std::memcpy(message.data(), &header, sizeof header);
    return sessions_[0]->frame_at_peer(message);
  }
  /// One that arrived before, from some other address and port.
  Bytes replayed(const Captured& from) {
    Bytes frame = from.frame;
    const bool v4 = from.message == kOuterV4;
    frame[from.message - 8] ^= static_cast<uint8_t>(at_random(256));  // source port
    frame[v4 ? 14 + 15 : 14 + 23] ^= static_cast<uint8_t>(at_random(256));
    if (v4) {
      frame[24] = frame[25] = 0;
      store_checksum(&frame[24], checksum_finish(checksum_add({&frame[14], 20}, 0)));
    }
    return frame;
  }

  Bytes next() {
    const Captured& from = captured_[at_random(captured_.size())];
    switch (at_random(8)) {
      case 0:
        return noise();
      case 1:
        return resized(from);
      case 2:
      case 3:
        if (from.arrived) return replayed(from);
        [[fallthrough]];
      default:
        return flipped(from);
    }
  }

  /// Control's rings: handshakes and the like are for it to judge.
  void drain() {
    lab_.sent(kWan);
    for (size_t each = 0; each < static_cast<size_t>(PuntClass::kCount); ++each) {
      if (PuntClass{static_cast<uint8_t>(each)} == PuntClass::kControl) continue;
      lab_.punted(PuntClass{static_cast<uint8_t>(each)});
    }
    for (const Punted& each : lab_.punted(PuntClass::kControl)) told_.push_back(each.note);
  }

  std::vector<Bytes> states() const {
    std::vector<Bytes> all;
    for (const auto& session : sessions_) all.push_back(session->state());
    return all;
  }

  Lab lab_;
  std::vector<std::unique_ptr<TestSession>> sessions_;
  std::vector<Captured> captured_;
  std::vector<PacketNote> told_;
  std::mt19937_64 random_{run_seed()};
};

TEST_F(Unauthentic, ChangesNoByteOfASession) {
  const std::vector<Bytes> before = states();
  const uint64_t begun = rte_rdtsc();
  told_.clear();
  const uint64_t packets = packets_to_try();
  for (uint64_t sent = 0; sent < packets;) {
    for (size_t i = 0; i < kChunk; ++i, ++sent) lab_.receive(kWan, next());
    while (lab_.poll() != 0) {
    }
    drain();
    ASSERT_TRUE(lab_.sent(kLan).empty()) << "after " << sent << " packets";
    ASSERT_EQ(states(), before) << "after " << sent << " packets";
  }
  // Control hears of a session's replays once a second, and refuses each by its own window.
  const uint64_t seconds = (rte_rdtsc() - begun) / rte_get_tsc_hz() + 1;
  EXPECT_LE(told_.size(), seconds * sessions_.size());
  for (const Drop each : {Drop::kBadTag, Drop::kReplayDuplicate, Drop::kUnknownIndex,
                          Drop::kLaneUnknown, Drop::kReserved, Drop::kMessageLength})
    EXPECT_GT(lab_.drops(each), 0U) << lab_.drop_text();
}

/// What was kept back arrives at last: none of it was used up.
TEST_F(Unauthentic, UsesNothingUpThatAPeerHas) {
  for (uint64_t chunk = 0; chunk < 10; ++chunk) {
    for (size_t i = 0; i < kChunk; ++i) lab_.receive(kWan, next());
    while (lab_.poll() != 0) {
    }
  }
  drain();
  lab_.sent(kLan);
  told_.clear();
  size_t data = 0;
  size_t control = 0;
  for (const Captured& each : captured_) {
    const auto type = wire::MessageType{each.frame[each.message]};
    if (each.arrived) continue;
    data += type == wire::MessageType::kData;
    control += type == wire::MessageType::kControl;
    lab_.receive(kWan, each.frame);
  }
  while (lab_.poll() != 0) {
  }
  drain();
  EXPECT_EQ(lab_.sent(kLan).size(), data) << lab_.drop_text();
  EXPECT_EQ(told_.size(), control) << lab_.drop_text();
}

}  // namespace
}  // namespace jvpn::test
