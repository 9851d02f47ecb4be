// The client's data path against itself: what one end seals the other opens, once, and nothing else
// gets through.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tests/support/segment_builder.h"
#include "tests/unit/event_rig.h"
#include "tests/unit/private_network.h"
#include "tools/client/control/client_host.h"
#include "tools/client/dataplane/data_path.h"

namespace jvpn {
namespace {

using namespace segments;

constexpr ReceiverIndex kIndex{0xABCD'0105};  // slot 5
constexpr uint32_t kSlotBits = 8;
constexpr Millis kNow{1'000};

RawKey raw_key(uint8_t fill) {
  RawKey key;
  key.fill(fill);
  return key;
}

RxInstall rx_install(uint8_t key = 1) {
  RxInstall install;
  install.index = kIndex;
  install.suite = Suite::kAes128Gcm;
  install.traffic_key = raw_key(key);
  install.lanes = 2;
  return install;
}

TxInstall tx_install(uint8_t key = 1) {
  TxInstall install;
  install.key_generation = 1;
  install.peer_index = kIndex;
  install.suite = Suite::kAes128Gcm;
  install.traffic_key = raw_key(key);
  install.blocks_per_lane = 100'000;
  install.inner_mtu = 1'420;
  return install;
}

/// Two ends; `near` sends to `far`. The builder's addresses are 10.11.12.13 → 14.15.16.17 and fd….
class DataPathTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<Prefix> everything{*Prefix::parse("0.0.0.0/0"), *Prefix::parse("::/0")};
    near = std::move(DataPath::create(everything, kSlotBits)).value();
    far = std::move(DataPath::create(everything, kSlotBits)).value();
    near->install_tx(tx_install());
    far->install_rx(rx_install());
  }

  /// Seals packets as they are; returns the messages on the wire.
  std::vector<Bytes> seal(const std::vector<Bytes>& packets) {
    for (const Bytes& packet : packets)
      std::memcpy(batch.next(packet.size()), packet.data(), packet.size());
    near->seal(batch, kNow);
    std::vector<Bytes> messages;
    for (const auto packet : batch.packets()) messages.emplace_back(packet.begin(), packet.end());
    batch.clear();
    return messages;
  }

  /// Opens copies of the messages; returns the inner packets.
  std::vector<Bytes> open(std::vector<Bytes> messages) {
    std::vector<std::span<uint8_t>> spans(messages.begin(), messages.end());
    std::vector<std::span<uint8_t>> inner;
    far->open(spans, kNow, inner);
    std::vector<Bytes> packets;
    packets.reserve(inner.size());
    for (const auto packet : inner) packets.emplace_back(packet.begin(), packet.end());
    return packets;
  }

  uint64_t dropped(Drop reason) const { return far->counters().dropped(reason); }

  std::unique_ptr<DataPath> near;
  std::unique_ptr<DataPath> far;
  SealBatch batch;
};

TEST_F(DataPathTest, EverySuiteBothFamiliesAllSizes) {
  for (const Suite suite : {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305}) {
    RxInstall rx = rx_install();
    TxInstall tx = tx_install();
    rx.suite = tx.suite = suite;
    far->install_rx(rx);
    near->install_tx(tx);
    std::vector<Bytes> packets;
    for (size_t payload = 0; payload < 200; payload += 7)
      packets.push_back(make_packet(tcp(payload % 2 == 0, payload)));
    EXPECT_EQ(open(seal(packets)), packets);
  }
}

TEST_F(DataPathTest, HeaderIsOnTheWireAsSpecified) {
  const auto messages = seal({make_packet(udp(true, 5)), make_packet(udp(true, 5))});
  wire::TransportHeader header;
  std::memcpy(&header, messages[1].data(), sizeof header);
  EXPECT_EQ(header.type, wire::MessageType::kData);
  EXPECT_EQ(header.receiver, kIndex.value);
  EXPECT_EQ(header.counter, wire::make_counter(LaneId{0}, 1));
  EXPECT_EQ(messages[1].size(), 20 + 8 + 5 + wire::kTransportOverhead);
}

TEST_F(DataPathTest, NeighboursStayNeighbours) {
  for (int i = 0; i < 3; ++i) {
    const Bytes packet = make_packet(tcp(true, 1'000));
    std::memcpy(batch.next(packet.size()), packet.data(), packet.size());
  }
  near->seal(batch, kNow);
  const auto run = batch.packets();
  EXPECT_EQ(run[0].data() + run[0].size(), run[1].data());
  EXPECT_EQ(run[1].data() + run[1].size(), run[2].data());
}

TEST_F(DataPathTest, ReplaysAreDeliveredOnce) {
  const auto messages = seal({make_packet(udp(true, 1)), make_packet(udp(true, 2))});
  EXPECT_EQ(open({messages[0], messages[0], messages[1]}).size(), 2U);
  EXPECT_EQ(open({messages[1], messages[0]}).size(), 0U);
  EXPECT_EQ(dropped(Drop::kReplayDuplicate), 3U);
}

TEST_F(DataPathTest, ReorderedWithinTheWindowOnly) {
  TxInstall many = tx_install();
  many.blocks_per_lane = UINT64_MAX;
  near->install_tx(many);
  std::vector<Bytes> messages;
  const Bytes packet = make_packet(udp(true, 1));
  for (size_t i = 0; i < kReplayWindowBits + 10; ++i) messages.push_back(seal({packet})[0]);
  EXPECT_EQ(open({messages.back()}).size(), 1U);
  EXPECT_EQ(open({messages.front()}).size(), 0U);
  EXPECT_EQ(dropped(Drop::kReplayTooOld), 1U);
  EXPECT_EQ(open({messages[20]}).size(), 1U);
}

struct SpoiltMessage {
  const char* name;
  void (*spoil)(Bytes&);
  Drop drop;
};

class DataPathRefusal : public DataPathTest, public testing::WithParamInterface<SpoiltMessage> {};

TEST_P(DataPathRefusal, IsNamed) {
  auto messages = seal({make_packet(udp(true, 30))});
  const auto good = messages[0];
  GetParam().spoil(messages[0]);
  EXPECT_TRUE(open(messages).empty());
  EXPECT_EQ(dropped(GetParam().drop), 1U);
  EXPECT_EQ(open({good}).size(), 1U) << "the refused message changed something";
}

INSTANTIATE_TEST_SUITE_P(
    Messages, DataPathRefusal,
    testing::Values(SpoiltMessage{"empty", [](Bytes& m) { m.clear(); }, Drop::kMessageLength},
                    SpoiltMessage{"short", [](Bytes& m) { m.resize(51); }, Drop::kMessageLength},
                    SpoiltMessage{"type", [](Bytes& m) { m[0] = 5; }, Drop::kMessageType},
                    SpoiltMessage{"reserved", [](Bytes& m) { m[3] = 1; }, Drop::kReserved},
                    SpoiltMessage{"index", [](Bytes& m) { m[7] ^= 1; }, Drop::kUnknownIndex},
                    SpoiltMessage{"slot", [](Bytes& m) { m[4] ^= 1; }, Drop::kUnknownIndex},
                    SpoiltMessage{"lane", [](Bytes& m) { m[14] = 2; }, Drop::kLaneUnknown},
                    SpoiltMessage{"other_lane", [](Bytes& m) { m[14] = 1; }, Drop::kBadTag},
                    SpoiltMessage{"sequence", [](Bytes& m) { m[8] ^= 4; }, Drop::kBadTag},
                    SpoiltMessage{"body", [](Bytes& m) { m[20] ^= 1; }, Drop::kBadTag},
                    SpoiltMessage{"tag", [](Bytes& m) { m.back() ^= 1; }, Drop::kBadTag},
                    SpoiltMessage{"cut", [](Bytes& m) { m.pop_back(); }, Drop::kBadTag}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(DataPathTest, InnerSourceMustBeAllowed) {
  far = std::move(DataPath::create({*Prefix::parse("10.11.0.0/16")}, kSlotBits)).value();
  far->install_rx(rx_install());
  EXPECT_EQ(open(seal({make_packet(udp(true, 1)), make_packet(udp(false, 1))})).size(), 1U);
  EXPECT_EQ(dropped(Drop::kInnerSource), 1U);
}

TEST_F(DataPathTest, InnerHeaderMustBeSound) {
  Bytes wrong_version = make_packet(udp(true, 1));
  wrong_version[0] = 0x55;
  Bytes longer = make_packet(udp(true, 1));
  longer.push_back(0);
  Bytes bad_length = make_packet(udp(true, 1));
  bad_length[0] = 0x4F;
  EXPECT_TRUE(open(seal({wrong_version, longer, bad_length})).empty());
  EXPECT_EQ(dropped(Drop::kInnerHeader), 3U);
}

TEST_F(DataPathTest, AdmissionNamesWhatItRefuses) {
  near = std::move(DataPath::create({*Prefix::parse("14.15.0.0/16")}, kSlotBits)).value();
  const Bytes inside = make_packet(udp(true, 100));
  const Bytes outside = make_packet(udp(false, 100));
  EXPECT_FALSE(near->admit(inside, inside.size()));
  near->install_tx(tx_install());
  EXPECT_TRUE(near->admit(inside, inside.size()));
  EXPECT_TRUE(near->admit(inside, 1'420));
  EXPECT_FALSE(near->admit(inside, 1'421));
  EXPECT_FALSE(near->admit(outside, outside.size()));
  EXPECT_FALSE(near->admit(std::span(inside).first(10), 10));
  near->withdraw_tx();
  EXPECT_FALSE(near->admit(inside, inside.size()));
  EXPECT_EQ(near->counters().dropped(Drop::kNoBinding), 2U);
  EXPECT_EQ(near->counters().dropped(Drop::kTooBig), 1U);
  EXPECT_EQ(near->counters().dropped(Drop::kNoRoute), 1U);
  EXPECT_EQ(near->counters().dropped(Drop::kInnerHeader), 1U);
}

uint64_t counter_of(const Bytes& message) {
  wire::TransportHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  return header.counter;
}

// No (key, lane, sequence) twice, whatever is installed in between.
TEST_F(DataPathTest, CountersNeverRepeatUnderOneKey) {
  const Bytes packet = make_packet(udp(true, 1));
  EXPECT_EQ(counter_of(seal({packet})[0]), 0U);
  near->install_tx(tx_install());
  EXPECT_EQ(counter_of(seal({packet})[0]), 1U);
  near->withdraw_tx();
  TxInstall moved = tx_install();
  moved.first_lane = LaneId{1};
  near->install_tx(moved);
  EXPECT_EQ(counter_of(seal({packet})[0]), wire::make_counter(LaneId{1}, 0));
  near->install_tx(tx_install());
  EXPECT_EQ(counter_of(seal({packet})[0]), 2U);
  TxInstall next = tx_install(2);
  next.key_generation = 2;
  near->install_tx(next);
  EXPECT_EQ(counter_of(seal({packet})[0]), 0U);
  EXPECT_EQ(near->activity().tx_generation_packets, 1U);
  EXPECT_EQ(near->activity().tx_packets, 5U);
}

TEST_F(DataPathTest, QuotaEndsEachLaneThenTheKey) {
  TxInstall install = tx_install();
  install.lanes = 2;
  const Bytes packet = make_packet(udp(true, 1));
  install.blocks_per_lane = gcm_blocks(3, 3 * packet.size());
  near->install_tx(install);
  const std::vector<Bytes> packets(8, packet);
  const auto messages = seal(packets);
  ASSERT_EQ(messages.size(), 6U);
  EXPECT_EQ(counter_of(messages[2]), 2U);
  EXPECT_EQ(counter_of(messages[3]), wire::make_counter(LaneId{1}, 0));
  EXPECT_EQ(near->counters().dropped(Drop::kKeyExhausted), 2U);
  EXPECT_EQ(open(messages).size(), 6U);
}

// A jump's index and lanes under the same keys: what is in flight by the old path still comes in.
TEST_F(DataPathTest, OldAndNewIndexAreOpenSideBySide) {
  constexpr ReceiverIndex kNewIndex{0xABCD'0206};
  const Bytes packet = make_packet(udp(true, 1));
  const auto before = seal({packet, packet});
  RxInstall rx = rx_install();
  rx.index = kNewIndex;
  rx.first_lane = LaneId{2};
  far->install_rx(rx);
  EXPECT_EQ(open({before[0]}).size(), 1U);

  TxInstall tx = tx_install();
  tx.peer_index = kNewIndex;
  tx.first_lane = LaneId{2};
  near->install_tx(tx);
  const auto after = seal({packet});
  EXPECT_EQ(counter_of(after[0]), wire::make_counter(LaneId{2}, 0));
  EXPECT_EQ(open({after[0], before[1]}).size(), 2U);
  EXPECT_EQ(open({after[0], before[0], before[1]}).size(), 0U);
  EXPECT_EQ(dropped(Drop::kReplayDuplicate), 3U);

  far->retire_rx(kIndex);
  EXPECT_EQ(open(seal({packet})).size(), 1U);
  EXPECT_EQ(open({before[1]}).size(), 0U);
  EXPECT_EQ(dropped(Drop::kUnknownIndex), 1U);
}

TEST_F(DataPathTest, LanesOfOneIndexDontCountOnAnother) {
  constexpr ReceiverIndex kNewIndex{0xABCD'0206};
  RxInstall rx = rx_install();
  rx.index = kNewIndex;
  rx.first_lane = LaneId{2};
  far->install_rx(rx);
  TxInstall tx = tx_install();
  tx.first_lane = LaneId{2};  // announced for the new index, sent on the old
  near->install_tx(tx);
  EXPECT_TRUE(open(seal({make_packet(udp(true, 1))})).empty());
  tx.first_lane = LaneId{1};
  tx.peer_index = kNewIndex;
  near->install_tx(tx);
  EXPECT_TRUE(open(seal({make_packet(udp(true, 1))})).empty());
  EXPECT_EQ(dropped(Drop::kLaneUnknown), 2U);
}

TEST_F(DataPathTest, IndexInstalledAgainKeepsItsWindows) {
  const auto messages = seal({make_packet(udp(true, 1))});
  EXPECT_EQ(open(messages).size(), 1U);
  RxInstall more = rx_install();
  more.lanes = 4;
  far->install_rx(more);
  EXPECT_TRUE(open(messages).empty());
  EXPECT_EQ(dropped(Drop::kReplayDuplicate), 1U);
  TxInstall moved = tx_install();
  moved.first_lane = LaneId{3};
  near->install_tx(moved);
  EXPECT_EQ(open(seal({make_packet(udp(true, 1))})).size(), 1U);
}

// Back and forth between two paths, with and without a binding in between, and under a generation
// number that changed alone: no counter comes twice.
TEST_F(DataPathTest, JumpsNeverRepeatACounter) {
  const Bytes packet = make_packet(udp(true, 1));
  std::vector<uint64_t> counters;
  TxInstall install = tx_install();
  for (const int lane : {0, 1, 0, 2, 2, 1}) {
    install.first_lane = LaneId{static_cast<uint16_t>(lane)};
    ++install.key_generation;
    near->install_tx(install);
    for (const Bytes& message : seal({packet, packet})) counters.push_back(counter_of(message));
    near->withdraw_tx();
    EXPECT_TRUE(seal({packet}).empty());
  }
  EXPECT_EQ(counters.size(), 12U);
  EXPECT_EQ(near->activity().tx_generation_packets, 12U) << "the key's life goes on over a jump";
  std::ranges::sort(counters);
  EXPECT_EQ(std::ranges::adjacent_find(counters), counters.end());
  EXPECT_EQ(near->counters().dropped(Drop::kNoBinding), 6U);
}

TEST_F(DataPathTest, AStoppedIndexTakesNothingMoreAndSaysWhatItHad) {
  const Bytes packet = make_packet(udp(true, 1));
  const auto messages = seal({packet, packet, packet, packet});
  EXPECT_EQ(open({messages[0], messages[2]}).size(), 2U);
  const LaneReport report = far->stop_data(kIndex);
  EXPECT_EQ(open(messages).size(), 0U);
  EXPECT_EQ(dropped(Drop::kUnknownIndex), 4U);
  EXPECT_EQ(report.index, kIndex);
  const auto receipt = [&](uint64_t sequence) { return report.receipt(LaneId{0}, sequence); };
  EXPECT_EQ(receipt(0), Receipt::kReceived);
  EXPECT_EQ(receipt(1), Receipt::kMissing);
  EXPECT_EQ(receipt(2), Receipt::kReceived);
  EXPECT_EQ(receipt(3), Receipt::kMissing);
  EXPECT_EQ(report.receipt(LaneId{1}, 0), Receipt::kMissing);
  EXPECT_EQ(far->published().rx.size(), 1U) << "control messages may come under it yet";
  far->install_rx(rx_install());
  EXPECT_EQ(open(messages).size(), 0U) << "the same keys: still stopped";
  far->install_rx(rx_install(2));
  near->install_tx(tx_install(2));
  EXPECT_EQ(open(seal({packet})).size(), 1U) << "another session has the index";
}

TEST_F(DataPathTest, StoppingAnIndexThatIsNotThereTellsNothing) {
  EXPECT_TRUE(far->stop_data(ReceiverIndex{kIndex.value + 256}).lanes.empty());
  EXPECT_EQ(open(seal({make_packet(udp(true, 1))})).size(), 1U);
}

TEST_F(DataPathTest, RetiredIndexIsUnknown) {
  const auto messages = seal({make_packet(udp(true, 1))});
  far->retire_rx(ReceiverIndex{kIndex.value ^ 0x1000});
  far->retire_rx(kIndex);
  EXPECT_TRUE(open(messages).empty());
  EXPECT_EQ(dropped(Drop::kUnknownIndex), 1U);
}

TEST_F(DataPathTest, ActivityTellsAuthenticDataOnly) {
  auto messages = seal({make_packet(udp(true, 1)), make_packet(udp(true, 2))});
  messages[1].back() ^= 1;
  EXPECT_EQ(far->activity().last_rx, Millis{0});
  open({messages[1]});
  EXPECT_EQ(far->activity().last_rx, Millis{0});
  open({messages[0]});
  EXPECT_EQ(far->activity().last_rx, kNow);
  EXPECT_EQ(far->activity().rx_packets, 1U);
  EXPECT_EQ(far->activity().rx_bytes, 29U);
  EXPECT_EQ(near->activity().tx_bytes, 29U + 30U);
}

TEST_F(PrivateNetwork, TheDeviceFollowsTheSizeOfTheActivePath) {
  run([] {
    auto tunnel =
        std::move(TunnelInterface::create("jvpn0", std::vector{*Prefix::parse("10.9.0.0/24")},
                                          std::vector{*Endpoint::parse("192.0.2.1:1")}))
            .value();
    ASSERT_TRUE(tunnel->configure({*Prefix::parse("10.7.0.2/32")}, 1'440));
    const auto data = std::move(DataPath::create({}, kSlotBits)).value();
    std::vector<Underlay> underlays;
    EventLog events(EventLogOptions{});
    ClientHost host({*data, *tunnel, underlays}, {uint16_t{1'440}, false, {}}, events);
    const auto mtu_after = [&](uint16_t network, uint16_t mtu) {
      TxInstall install = tx_install();
      install.path.interface = network;
      install.inner_mtu = mtu;
      host.install_tx(install);
      return tunnel->mtu();
    };
    EXPECT_EQ(mtu_after(1, 1'440), 1'440);
    EXPECT_EQ(mtu_after(1, 1'240), 1'240);
    EXPECT_EQ(mtu_after(2, 1'440), 1'240) << "a jump leaves connections as they are";
    EXPECT_EQ(mtu_after(2, 1'300), 1'240);
    EXPECT_EQ(mtu_after(2, 1'440), 1'440) << "probes found that it takes more";
    EXPECT_NE(output_of("ip link show jvpn0").find("mtu 1440"), std::string::npos);
  });
}

/// The log's thread sleeps once it has written the one before.
TEST_F(PrivateNetwork, EachListsEventsAreWrittenThoughNoneFollow) {
  run([] {
    auto tunnel = std::move(TunnelInterface::create("jvpn0", {}, {})).value();
    const auto data = std::move(DataPath::create({}, kSlotBits)).value();
    std::vector<Underlay> underlays;
    EventLog events(EventLogOptions{});
    events.start();
    ClientHost host({*data, *tunnel, underlays}, {uint16_t{1'440}, false, {}}, events);
    Effects told;
    told.emit(Event{});
    for (uint64_t i = 1; i <= 20; ++i) {
      host.apply(told);
      ASSERT_TRUE(test::comes_true([&] { return events.status().written == i; })) << i;
    }
  });
}

}  // namespace
}  // namespace jvpn
