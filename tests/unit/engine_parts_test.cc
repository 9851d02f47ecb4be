// The engine's small parts on their own: index allocation, rate limit, policy snapshot, timestamps.
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "common/token_bucket.h"
#include "control/protocol/handshake_messages.h"
#include "control/protocol/policy_snapshot.h"
#include "control/session/index_allocator.h"
#include "control/session/key_schedule.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

TEST(IndexAllocator, LowBitsAreSlotsAndAllAreDifferent) {
  IndexAllocator indices(3);
  std::set<uint32_t> slots;
  for (uint32_t i = 0; i < 8; ++i) {
    const auto index = indices.allocate(PeerId{i}, 0xabcd'ef00);
    ASSERT_TRUE(index.has_value());
    EXPECT_EQ(index->value >> 3, 0xabcd'ef00U >> 3);
    EXPECT_TRUE(slots.insert(index->value & 7).second);
    EXPECT_EQ(indices.owner(*index), PeerId{i});
  }
  EXPECT_EQ(indices.allocate(PeerId{9}, 1), std::nullopt);
}

TEST(IndexAllocator, ComparesAllBitsAndIsNeverZero) {
  IndexAllocator indices(3);
  const auto first = indices.allocate(PeerId{1}, 0);
  ASSERT_TRUE(first.has_value());
  EXPECT_NE(first->value, 0U);
  EXPECT_EQ(indices.owner(ReceiverIndex{first->value ^ 0x100}), std::nullopt);
  EXPECT_EQ(indices.owner(ReceiverIndex{0}), std::nullopt);
  EXPECT_EQ(indices.owner(ReceiverIndex{5}), std::nullopt);
}

TEST(IndexAllocator, FreedSlotsServeAgainUnderAnotherSerial) {
  IndexAllocator indices(2);
  std::vector<ReceiverIndex> alive;
  for (uint32_t i = 0; i < 4; ++i) alive.push_back(*indices.allocate(PeerId{0}, 0x1000));
  const uint64_t serial = indices.serial(alive[2]);
  indices.release(alive[2]);
  indices.release(alive[2]);  // nothing to release any more
  EXPECT_EQ(indices.owner(alive[2]), std::nullopt);
  EXPECT_EQ(indices.serial(alive[2]), 0U);
  EXPECT_EQ(indices.allocate(PeerId{1}, 0x1000), alive[2]);
  EXPECT_GT(indices.serial(alive[2]), serial);
  EXPECT_EQ(indices.allocate(PeerId{0}, 0x1000), std::nullopt);
}

/// A table that doubled would keep everybody waiting while it does.
TEST(IndexAllocator, GrowsByAsMuchHoweverManyThereAre) {
  IndexAllocator indices(20);
  std::mt19937 random(3);
  std::set<uint32_t> slots;
  for (int i = 0; i < 100'000; ++i) {
    const size_t before = indices.slots();
    const auto index = indices.allocate(PeerId{1}, static_cast<uint32_t>(random()));
    ASSERT_LE(indices.slots() - before, IndexAllocator::kSlotsAtOnce);
    ASSERT_TRUE(index && slots.insert(index->value % (1U << 20)).second);
  }
  EXPECT_LT(indices.slots(), 140'000U) << "a quarter more than are in use";
}

/// What is allocated one after the other lies far apart, and not at equal distances.
TEST(IndexAllocator, SlotsAreChosenAtRandom) {
  IndexAllocator indices(20);
  std::mt19937 random(1);
  std::set<uint32_t> distances;
  uint32_t before = 0;
  for (int i = 0; i < 500; ++i) {
    const uint32_t slot =
        indices.allocate(PeerId{0}, static_cast<uint32_t>(random()))->value & 0xFFFFF;
    distances.insert(slot - before);
    before = slot;
  }
  EXPECT_GT(distances.size(), 300U);
}

TEST(TokenBucket, OneSecondsWorthAtOnceThenTheRate) {
  TokenBucket bucket(10, Millis{1'000});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(bucket.take(Millis{1'000}));
  EXPECT_FALSE(bucket.take(Millis{1'099}));
  EXPECT_TRUE(bucket.take(Millis{1'100}));
  EXPECT_FALSE(bucket.take(Millis{1'100}));
  EXPECT_FALSE(bucket.take(Millis{900}));  // time can't run backwards
  int taken = 0;
  while (bucket.take(Millis{900'000'000})) ++taken;
  EXPECT_EQ(taken, 10);
}

TEST(TokenBucket, NothingASecondIsNever) {
  TokenBucket bucket(0, Millis{0});
  EXPECT_FALSE(bucket.take(Millis{1'000'000}));
}

TEST(PolicySnapshot, TighterBoundWins) {
  Policy responder;
  responder.session.max_lifetime = Millis{1'000'000};
  responder.session.transport_loss_ttl = Millis{90'000};
  responder.switching.max_switches_per_min = 2;
  responder.switching.switch_cooldown = Millis{9'000};
  const Policy own;
  const Policy policy = tightened(own, snapshot_of(responder));
  EXPECT_EQ(policy.session.max_lifetime, Millis{1'000'000});
  EXPECT_EQ(policy.session.transport_loss_ttl, own.session.transport_loss_ttl);
  EXPECT_EQ(policy.switching.max_switches_per_min, 2U);
  EXPECT_EQ(policy.switching.switch_cooldown, Millis{9'000});
  EXPECT_EQ(policy.version, own.version);
}

TEST(PolicySnapshot, ZerosTellNothingAndFloodsAreNotObeyed) {
  const Policy own;
  EXPECT_EQ(tightened(own, {}).volatility.heartbeat_interval, own.volatility.heartbeat_interval);
  EXPECT_EQ(tightened(own, {}).session.max_lifetime, own.session.max_lifetime);
  wire::PolicySnapshot told{};
  told.heartbeat_interval = 1;
  EXPECT_EQ(tightened(own, told).volatility.heartbeat_interval, Millis{10});
  Policy endless;
  endless.session.max_lifetime = Millis{UINT64_MAX};
  EXPECT_EQ(snapshot_of(endless).max_lifetime, UINT32_MAX);
}

TEST(Timestamps, RiseWhateverTheClockDoes) {
  const wire::Timestamp early{0x40, 0, 0, 0, 1};
  const wire::Timestamp late{0x40, 0, 0, 0, 2};
  EXPECT_EQ(next_timestamp(late, early), late);
  EXPECT_GT(next_timestamp(early, late), late);
  EXPECT_GT(next_timestamp(late, late), late);
  const wire::Timestamp carry{0x40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff};
  const wire::Timestamp next{0x40, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0};
  EXPECT_EQ(next_timestamp(early, carry), next);
}

TEST(Suites, NumbersOfTheWire) {
  EXPECT_EQ(suite_of(0), std::nullopt);
  EXPECT_EQ(suite_of(1), Suite::kAes128Gcm);
  EXPECT_EQ(suite_of(3), Suite::kChaCha20Poly1305);
  EXPECT_EQ(suite_of(4), std::nullopt);
}

TEST(KeySchedule, BothEndsAgreeAndNoKeyServesTwice) {
  NoiseKeys noise;
  noise.initiator_to_responder.bytes().fill(1);
  noise.responder_to_initiator.bytes().fill(2);
  const SessionKeys a = derive_session_keys(noise, true);
  const SessionKeys b = derive_session_keys(noise, false);
  EXPECT_TRUE(a.send.traffic == b.receive.traffic && a.send.control == b.receive.control);
  EXPECT_TRUE(a.receive.traffic == b.send.traffic && a.receive.control == b.send.control);
  const std::set<RawKey> keys = {a.send.traffic.bytes(), a.send.control.bytes(),
                                 a.receive.traffic.bytes(), a.receive.control.bytes()};
  EXPECT_EQ(keys.size(), 4U);
  std::set<std::vector<uint8_t>> ivs;
  for (const RawKey& key : keys) {
    const KeyIv iv = iv_of(key);
    ivs.emplace(iv.begin(), iv.end());
  }
  EXPECT_EQ(ivs.size(), 4U) << "each key has an IV of its own";
  EXPECT_FALSE(ivs.contains(std::vector<uint8_t>(kAeadNonceBytes)));
}

}  // namespace
}  // namespace jvpn
