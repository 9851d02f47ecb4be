// Two engines over three networks that can be cut, and an odd but authentic initiator.
#pragma once

#include "control/protocol/handshake_messages.h"
#include "control/session/control_message.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr uint64_t kUnused =
    200;  // a control counter that nobody has used, within the window

template <typename Message>
inline constexpr size_t kSealed = sizeof(Message) + wire::kTransportOverhead;

inline bool is_control_of(const Datagram& datagram, size_t from, size_t bytes) {
  return datagram.type() == wire::MessageType::kControl && datagram.from == from &&
         datagram.bytes.size() == bytes;
}

/// Node 0 is attached to node 1 over network 0 and may jump to networks 1 and 2.
struct Jumper : World {
  explicit Jumper(uint64_t seed = 1, const World::Adjust& adjust = nullptr, bool warm = false)
      : World(seed, [&](size_t node, EngineConfig& config) {
          if (!warm) config.policy.transport.candidate_validation_ttl = Millis{0};
          if (adjust) adjust(node, config);
        }) {
    connect();
    set_candidates({0, 1, 2});
    run_for(Millis{50});
    id = node(0).session().id;
  }
  void set_candidates(const std::vector<size_t>& networks) {
    std::vector<Path> paths;
    for (const size_t network : networks) paths.push_back(path_between(0, 1, network));
    engine(0).set_candidates(now, kPeer, paths);
  }
  void lose(size_t network) {
    cut.insert(network);
    engine(0).path_lost(now, kPeer, path_between(0, 1, network));
  }
  void jump(size_t network) { engine(0).jump(now, kPeer, path_between(0, 1, network)); }
  size_t network_of(size_t i) { return node(i).session().path.interface; }

  void expect_on(size_t network) {
    expect_one_session(*this);
    for (const size_t i : {size_t{0}, size_t{1}}) {
      EXPECT_EQ(node(i).session().id, id);
      EXPECT_EQ(network_of(i), network);
    }
  }

  SessionId id;
};

inline size_t count_reason(const test::Node& node, EventKind kind, Reason reason) {
  const auto events = node.events_of(kind);
  return static_cast<size_t>(std::count_if(
      events.begin(), events.end(), [&](const Event& event) { return event.reason == reason; }));
}

/// A request as an authentic but odd initiator would make it, to the gateway's first spare index.
struct Forger {
  explicit Forger(Jumper& target) : world(target) {
    for (const auto& [index, install] : world.node(1).rx) {
      if (install.first_lane == LaneId{1}) spare = ReceiverIndex{index};
      if (install.first_lane == LaneId{0}) active = ReceiverIndex{index};
    }
    message.header = control_header(wire::ControlType::kReattachRequest);
    message.session_id = world.id.bytes;
    message.nonce = 100;
    message.clock_ms = world.now.value;
    message.binding_version = world.node(1).session().binding_version.value;
    message.receiver = 77;
    message.lanes = 1;
    message.retire_active = 1;
  }
  void send(ReceiverIndex index) {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&message);
    world.sent.clear();
    const auto install = world.node(1).rx.find(index.value);
    const LaneId lane = install == world.node(1).rx.end() ? LaneId{0} : install->second.first_lane;
    world.engine(1).on_control(world.now, path_between(1, 0, 1), index,
                               wire::make_counter(lane, counter++), {bytes, sizeof message});
  }
  size_t sent(size_t bytes) const {
    return static_cast<size_t>(
        std::count_if(world.sent.begin(), world.sent.end(), [&](const Datagram& datagram) {
          return datagram.network() == 1 && is_control_of(datagram, 1, bytes);
        }));
  }

  Jumper& world;
  ReceiverIndex spare;
  ReceiverIndex active;
  wire::ReattachRequest message{};
  uint64_t counter = kUnused;
};

}  // namespace jvpn::test
