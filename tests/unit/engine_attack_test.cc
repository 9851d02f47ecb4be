// Hostile and broken input: what isn't authentic changes nothing, what is authentic but impossible
// ends its session, and the same input always gives the same events.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/control_message.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using test::Bytes;
using test::Datagram;
using test::Fate;
using test::World;
using wire::ControlType;
using wire::MessageType;

constexpr uint64_t kUnused = 1'000'000;  // a control counter that nobody has used

Bytes control(ControlType type, size_t bytes, uint8_t flags = 0, uint8_t version = wire::kVersion) {
  Bytes message(std::max(bytes, sizeof(wire::ControlHeader)));
  wire::ControlHeader header = control_header(type, flags);
  header.version = version;
  __builtin_memcpy(message.data(), &header, sizeof header);
  message.resize(bytes);
  return message;
}

/// A HEARTBEAT with a field that claims `claimed` bytes behind its head and has `bytes`.
Bytes with_field(uint16_t type, uint16_t claimed, int bytes, uint8_t flags = 0) {
  constexpr size_t kMessage = sizeof(wire::Heartbeat);
  Bytes message = control(ControlType::kHeartbeat, kMessage + sizeof(wire::Field), flags);
  const wire::Field field{type, claimed};
  __builtin_memcpy(message.data() + kMessage, &field, sizeof field);
  message.resize(message.size() + static_cast<size_t>(bytes), 0xfe);
  return message;
}

/// What the program would notice: sessions, installs, and what was said about changes.
std::string visible_state(const test::Node& node) {
  std::string text;
  for (const SessionView& view : node.sessions()) {
    text += to_string(view.id) + to_string(view.state) + std::to_string(view.version.value) + "/" +
            std::to_string(view.binding_version.value) + to_string(view.path) +
            std::to_string(view.rekeys) + "/" + std::to_string(view.last_authentic.value) + "\n";
  }
  for (const auto& [index, install] : node.rx) text += std::to_string(index) + " ";
  for (const auto& [peer, install] : node.tx)
    text += std::to_string(install.peer_index.value) + " ";
  return text + std::to_string(node.tx_installs) + "/" +
         std::to_string(node.events_of(EventKind::kStateChange).size());
}

enum class Outcome : uint8_t { kTaken, kStale, kMalformed, kUnknown, kUnknownField, kFatal };

struct ControlCase {
  const char* name;
  size_t receiver;  // 0: the initiator, 1: the responder
  Bytes plaintext;
  Outcome outcome;
};

const ControlCase kControlCases[] = {
    {"empty", 1, {}, Outcome::kMalformed},
    {"half a header", 1, Bytes(7, 1), Outcome::kMalformed},
    {"version 0", 1, control(ControlType::kHeartbeat, 24, 0, 0), Outcome::kMalformed},
    {"version 2", 1, control(ControlType::kHeartbeat, 24, 0, 2), Outcome::kMalformed},
    {"short HEARTBEAT", 1, control(ControlType::kHeartbeat, 23), Outcome::kFatal},
    {"HEARTBEAT with half a field", 1, with_field(0x0123, 3, -2), Outcome::kFatal},
    {"HEARTBEAT with padding", 1, control(ControlType::kHeartbeat, 24 + 9), Outcome::kTaken},
    {"HEARTBEAT with an unknown field", 1, with_field(0x0123, 3, 3), Outcome::kTaken},
    {"HEARTBEAT with a field cut short", 1, with_field(0x0123, 3, 2), Outcome::kFatal},
    {"HEARTBEAT with a field of type 0", 1, with_field(0, 3, 3), Outcome::kFatal},
    {"HEARTBEAT with an unknown critical field", 1, with_field(0x8123, 3, 3),
     Outcome::kUnknownField},
    {"critical HEARTBEAT with an unknown critical field", 1,
     with_field(0x8123, 3, 3, wire::kCritical), Outcome::kFatal},
    {"short HEARTBEAT_ACK", 1, control(ControlType::kHeartbeatAck, 31), Outcome::kFatal},
    {"short TERMINATE", 0, control(ControlType::kTerminate, 8), Outcome::kFatal},
    {"short REKEY_RESPONSE", 0,
     control(ControlType::kRekeyResponse, sizeof(wire::RekeyResponse) - 1), Outcome::kFatal},
    {"late REKEY_RESPONSE", 0, control(ControlType::kRekeyResponse, sizeof(wire::RekeyResponse)),
     Outcome::kStale},
    {"REKEY_RESPONSE to the responder", 1,
     control(ControlType::kRekeyResponse, sizeof(wire::RekeyResponse)), Outcome::kFatal},
    {"REKEY_INITIATION to the initiator", 0, control(ControlType::kRekeyInitiation, 128),
     Outcome::kFatal},
    {"REKEY_INITIATION of zeros", 1, control(ControlType::kRekeyInitiation, 128), Outcome::kFatal},
    {"ack from the future", 0,
     [] {
       Bytes ack = control(ControlType::kHeartbeatAck, 32);
       std::fill_n(ack.begin() + 8, 8, uint8_t{0xff});
       return ack;
     }(),
     Outcome::kStale},
    {"type 0", 1, control(ControlType{0}, 8), Outcome::kUnknown},
    {"type 200", 1, control(ControlType{200}, 300), Outcome::kUnknown},
    {"type 200, critical", 1, control(ControlType{200}, 8, wire::kCritical), Outcome::kFatal},
    {"short QUALITY_REPORT", 1, control(ControlType::kQualityReport, 8), Outcome::kFatal},
    {"QUALITY_REPORT of another binding", 1,
     control(ControlType::kQualityReport, sizeof(wire::QualityReport)), Outcome::kStale},
};

TEST(EngineAttack, ControlMessagesThatAreNotWellFormed) {
  for (const ControlCase& each : kControlCases) {
    SCOPED_TRACE(each.name);
    World world;
    world.connect();
    test::Node& node = world.node(each.receiver);
    const ReceiverIndex index = node.active_index();
    const EngineCounters before = world.engine(each.receiver).counters();
    world.engine(each.receiver)
        .on_control(world.now, test::path_between(each.receiver, 1 - each.receiver), index, kUnused,
                    each.plaintext);
    const EngineCounters after = world.engine(each.receiver).counters();
    const bool fatal = each.outcome == Outcome::kFatal;
    EXPECT_EQ(node.sessions().empty(), fatal);
    if (fatal) {
      EXPECT_EQ(node.changes().back(),
                "ATTACHED>TERMINATED FATAL_PROTOCOL_ERROR:impossible_message");
    } else {
      EXPECT_EQ(after.control_stale - before.control_stale, each.outcome == Outcome::kStale);
      EXPECT_EQ(after.control_malformed - before.control_malformed,
                each.outcome == Outcome::kMalformed);
      EXPECT_EQ(after.control_unknown_type - before.control_unknown_type,
                each.outcome == Outcome::kUnknown);
      EXPECT_EQ(after.control_unknown_field - before.control_unknown_field,
                each.outcome == Outcome::kUnknownField);
      EXPECT_EQ(node.changes().size(), 1U);
    }
    world.run_for(Millis{4'000});  // the peer was told; the dialler comes back
    EXPECT_EQ(world.node(0).session().id, world.node(1).session().id);
  }
}

TEST(EngineAttack, CountersOfControlMessages) {
  World world;
  world.connect();
  const ReceiverIndex index = world.node(1).active_index();
  const Path from = test::path_between(1, 0);
  const Bytes heartbeat = control(ControlType::kHeartbeat, sizeof(wire::Heartbeat));
  SessionEngine& engine = world.engine(1);
  engine.on_control(world.now, from, index, kUnused, heartbeat);
  engine.on_control(world.now, from, index, kUnused, heartbeat);
  EXPECT_EQ(engine.counters().control_replayed, 1U);
  engine.on_control(world.now, from, index, wire::make_counter(LaneId{1}, kUnused), heartbeat);
  EXPECT_EQ(engine.counters().control_malformed, 1U);
  // A lane's counter doesn't move the window.
  engine.on_control(world.now, from, index, kUnused + 1, heartbeat);
  EXPECT_EQ(engine.counters().control_replayed, 1U);
  engine.on_control(world.now, from, ReceiverIndex{index.value ^ 0x8000'0000}, 1, heartbeat);
  EXPECT_EQ(engine.counters().control_stale, 1U);
  const auto events = world.node(1).events_of(EventKind::kSecurityEvent);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].reason, Reason::kSecReplayAttempt);
  EXPECT_EQ(events[0].session, world.node(1).session().id);
}

/// An index comes again; what was opened under its earlier use is nobody's any more.
TEST(EngineAttack, MessagesOfAnEarlierInstallAreStale) {
  World world;
  world.connect();
  const ReceiverIndex index = world.node(1).active_index();
  const uint64_t serial = world.node(1).rx.at(index.value).serial;
  ASSERT_NE(serial, 0U);
  const Bytes fatal = control(ControlType::kTerminate, sizeof(wire::Terminate));
  SessionEngine& engine = world.engine(1);
  const Path from = test::path_between(1, 0);
  engine.on_control(world.now, from, index, kUnused, fatal, serial - 1);
  EXPECT_EQ(engine.counters().control_stale, 1U);
  EXPECT_EQ(world.node(1).sessions().size(), 1U);
  world.sent.clear();
  engine.source_changed(world.now, test::path_between(1, 2), index, serial - 1);
  EXPECT_TRUE(world.sent.empty());
  engine.on_control(world.now, from, index, kUnused, fatal, serial);
  EXPECT_TRUE(world.node(1).sessions().empty());
}

TEST(EngineAttack, AnswersGoAlongTheBinding) {
  World world(1, nullptr, 3);
  world.connect();
  const ReceiverIndex index = world.node(1).active_index();
  world.sent.clear();
  world.engine(1).on_control(world.now, test::path_between(1, 2), index, kUnused,
                             control(ControlType::kHeartbeat, sizeof(wire::Heartbeat)));
  // The other source hears nothing while the bound one may live.
  ASSERT_EQ(world.sent.size(), 2U);
  EXPECT_EQ(world.sent[0].to, 0U);
  EXPECT_EQ(world.sent[0].bytes.size(), sizeof(wire::Heartbeat) + wire::kTransportOverhead);
  EXPECT_EQ(world.sent[1].to, 0U);
  EXPECT_EQ(world.node(1).session().path, test::path_between(1, 0));
}

TEST(EngineAttack, SecurityEventsAreSampled) {
  World world;
  world.connect();
  for (int i = 0; i < 10'000; ++i) {
    world.engine(1).on_handshake(world.now, test::path_between(1, 0), Bytes(400, 1), std::nullopt);
  }
  EXPECT_EQ(world.engine(1).counters().handshakes_refused, 10'000U);
  EXPECT_LE(world.node(1).events_of(EventKind::kSecurityEvent).size(), 10U);
}

TEST(EngineAttack, NoAnswerOutgrowsItsQuestion) {
  World world(1, [](size_t node, EngineConfig& config) {
    if (node == 1) config.handshakes_per_s = 1;
  });
  world.dial(0, 1);
  world.run_for(Millis{10});
  world.dial(0, 1);
  world.run_for(Millis{10});
  for (const Datagram& datagram : world.sent) {
    if (datagram.from == 1) {
      EXPECT_LE(datagram.bytes.size(), sizeof(wire::Initiation));
    }
  }
  EXPECT_EQ(world.engine(1).counters().cookies_sent, 1U);
}

/// A garbled copy of something real, or noise.
Bytes garble(test::Random& random, const std::vector<Datagram>& captured) {
  if (captured.empty() || random.chance(0.2)) {
    Bytes noise(random.below(500));
    random.fill(noise);
    if (!noise.empty()) noise[0] = static_cast<uint8_t>(random.below(8));
    return noise;
  }
  Bytes bytes = captured[random.below(captured.size())].bytes;
  switch (random.below(3)) {
    case 0:
      bytes.resize(random.below(bytes.size()));
      break;
    case 1:
      bytes.resize(bytes.size() + 1 + random.below(40));
      break;
    default: {
      // Not in mac2, which nobody needs while there is no load.
      const size_t end = bytes.size() - (bytes[0] <= 2 ? kMacBytes : 0);
      bytes[random.below(end)] ^= static_cast<uint8_t>(1 + random.below(255));
    }
  }
  return bytes;
}

/// Everything but the header of a control message is covered by its tag; the type and the reserved
/// bytes aren't, but choose the parser.
void attack(World& world, size_t target, const Bytes& bytes) {
  if (bytes.empty()) return;
  SessionEngine& engine = world.engine(target);
  const Path from = test::path_between(target, 1 - target);
  if (MessageType{bytes[0]} != MessageType::kControl) {
    engine.on_handshake(world.now, from, bytes, std::nullopt);
    return;
  }
  Bytes copy = bytes;
  const auto plaintext = engine.open_control(copy);
  EXPECT_FALSE(plaintext.has_value()) << "a garbled control message was opened";
}

TEST(EngineAttack, GarbageMutatesNothing) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  World world(seed);
  test::Random random(seed);
  world.connect();
  world.run_for(Millis{3'000});
  // A call in progress, too, whose answer and confirmation are being forged.
  world.filter = [](const Datagram& datagram) {
    return datagram.type() == MessageType::kInitiation ? Fate::kDeliver : Fate::kDrop;
  };
  world.dial(0, 1);
  world.run_for(Millis{50});
  const std::vector<Datagram> captured = world.sent;
  const std::string before[] = {visible_state(world.node(0)), visible_state(world.node(1))};
  for (int i = 0; i < 20'000; ++i) {
    attack(world, random.below(2), garble(random, captured));
    if (HasFailure()) return;
  }
  for (size_t target : {size_t{0}, size_t{1}}) {
    EXPECT_EQ(visible_state(world.node(target)), before[target]);
  }
}

TEST(EngineAttack, ReplayedControlMutatesNothing) {
  World world;
  world.connect();
  world.run_for(Millis{3'000});
  const std::vector<Datagram> captured = world.sent;
  const std::string before[] = {visible_state(world.node(0)), visible_state(world.node(1))};
  for (const Datagram& datagram : captured) world.deliver(datagram);
  for (size_t i : {size_t{0}, size_t{1}}) {
    EXPECT_EQ(visible_state(world.node(i)), before[i]);
    EXPECT_GT(world.engine(i).counters().control_replayed, 3U);
  }
}

/// A run with everything in it; returns all events as lines.
std::string eventful_run(uint64_t seed) {
  World world(seed, [](size_t, EngineConfig& config) { config.rekey_after = Millis{1'500}; });
  test::Random random(seed);
  world.weather = {0.1, 0.1, 10, 40};
  for (int i = 0; i < 60; ++i) {
    const size_t node = random.below(2);
    switch (random.below(6)) {
      case 0:
      case 1:
        world.dial(node, 1 - node);
        break;
      case 2:
        world.engine(node).terminate(world.now, PeerId{0}, Detail::kOperator);
        break;
      default:
        attack(world, node, garble(random, world.sent));
    }
    world.run_with_data(Millis{random.below(3'000)}, 20);
  }
  return world.node(0).json_lines() + world.node(1).json_lines();
}

TEST(EngineAttack, SameInputGivesTheSameEvents) {
  const uint64_t seed = test::fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  const std::string first = eventful_run(seed);
  EXPECT_EQ(first, eventful_run(seed));
  EXPECT_NE(first.find("HANDSHAKE_OK"), std::string::npos);
}

}  // namespace
}  // namespace jvpn
