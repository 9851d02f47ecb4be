// Gateways and clients with wires between them under one virtual clock; nothing runs by itself.
// Each step: what is due arrives as Ethernet frames, workers and control loops turn, what left goes
// onto the wires, clients do what is due.
//
// A client has kPaths paths to each gateway, numbered on: path p leads to gateway p / kPaths, to
// its outside port p % kWans. Each path has an address and port of its own and can be cut, slowed,
// doubled and moved behind another address; everything sent is recorded and may be sent again.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/matrix/client_node.h"
#include "tests/matrix/gateway_node.h"
#include "tests/matrix/stores.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr size_t kPaths = 3;
inline constexpr Millis kClientAhead{7'000'000};  ///< client's clock less the gateway's

/// One UDP payload on its way.
struct Datagram {
  bool up = true;  ///< to a gateway
  size_t client = 0;
  size_t path = 0;
  Endpoint source;
  Endpoint destination;
  Bytes bytes;
  std::optional<wire::ControlType> control{};  ///< what is in it, when it is control and opens

  wire::MessageType type() const { return wire::MessageType{bytes.at(0)}; }
  bool is_data() const { return type() == wire::MessageType::kData; }
  wire::TransportHeader header() const;
};

/// How a path treats what it carries.
struct Wire {
  bool cut_up = false;
  bool cut_down = false;
  Millis delay{5};
  unsigned copies = 1;
  std::optional<Endpoint> outside;  ///< what the gateway sees instead of the client's address

  void cut() { cut_up = cut_down = true; }
  void mend() { cut_up = cut_down = false; }
};

struct RigOptions {
  Policy policy;  ///< of both ends; candidates stay cold unless a test wants them warm
  size_t gateways = 1;
  size_t clients = 1;
  uint16_t workers = 1;
  Suite suite = Suite::kAes128Gcm;
  Millis rekey_after{120'000};
  std::function<void(EngineConfig&)> adjust_gateway;
  std::function<void(EngineConfig&)> adjust_client;
  std::vector<EventSinkProfile> sinks;  ///< of every gateway's events
  std::function<void(GatewayProfile&)> adjust_profile;

  RigOptions() { policy.transport.candidate_validation_ttl = Millis{0}; }
};

/// Gateways that share `store`, which outlives the rig.
inline RigOptions with(TestStore& store, size_t gateways = 1) {
  RigOptions options;
  options.gateways = gateways;
  options.adjust_gateway = [&store](EngineConfig& config) { config.ownership = &store.client(); };
  return options;
}

/// A session as one end has it. Equal snapshots: nothing was mutated.
struct Snapshot {
  State state = State::kTerminated;
  StateVersion version;
  BindingVersion binding;
  SessionId id;
  std::string path;
  uint64_t switches = 0;
  bool operator==(const Snapshot&) const = default;
};
void PrintTo(const Snapshot& snapshot, std::ostream* out);

class Rig {
 public:
  explicit Rig(const RigOptions& options = {});
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  /// Client dials over its path 0 and is given all its paths as candidates; runs until attached.
  void connect(size_t client = 0);
  void set_candidates(size_t client, std::vector<size_t> paths);

  Millis now() const { return clock_.now(); }
  Millis client_now() const { return clock_.now() + kClientAhead; }
  void step(Millis tick = Millis{1});
  void run_for(Millis span, Millis tick = Millis{1});
  /// False: `until` was not true within `limit`.
  bool run_until(const std::function<bool()>& until, Millis limit, Millis tick = Millis{1});
  /// An echo request every `gap` from every client that has a path.
  void run_with_data(Millis span, Millis gap, Millis tick = Millis{1});

  /// An echo goes through the tunnel and back: the service is unharmed.
  bool serves(size_t client = 0);
  /// The client's link of a path is gone, and it knows.
  void lose(size_t path, size_t client = 0);
  /// A planned jump, until it is committed. False: it was not, within a second.
  bool jump(size_t path, size_t client = 0);
  void wish_jump(size_t path, size_t client = 0);

  Path path(size_t number, size_t client = 0) const;
  Wire& wire(size_t number, size_t client = 0) { return wires_[client][number]; }
  void cut(std::initializer_list<size_t> paths, size_t client = 0);
  void cut_all(size_t client = 0);
  void mend_all(size_t client = 0);

  /// Puts a datagram onto its way now, whatever the wire is like.
  void inject(const Datagram& datagram);
  /// A datagram from a client's path as it is seen outside.
  Datagram datagram_up(size_t path, Bytes bytes, size_t client = 0) const;
  /// The latest one of a type that went that way; fails the test when there is none.
  Datagram last(wire::ControlType type, size_t client = 0) const;
  size_t count(wire::ControlType type, size_t client = 0) const;

  GatewayNode& gateway(size_t number = 0) { return *gateways_[number]; }
  size_t gateways() const { return gateways_.size(); }
  /// It was killed and starts again, with its profile and nothing else.
  void restart_gateway(size_t number = 0);
  const SecretKey& gateway_key() const { return specs_.front().private_key; }
  ClientNode& client(size_t number = 0) { return *clients_[number]; }
  /// Of the live session; TERMINATED and empty when there is none.
  Snapshot at_gateway(size_t client = 0, size_t gateway = 0);
  Snapshot at_client(size_t client = 0);
  bool attached(size_t client = 0);
  bool in_state(State state, size_t client = 0);  ///< the gateway's session
  /// Both ends are ATTACHED to one session over that path.
  void expect_on(size_t path, size_t client = 0);
  std::string text() const;

  /// Every datagram that was sent, in order, lost ones too.
  std::vector<Datagram> sent;
  /// Sees each datagram before it goes; may change it. False: it is lost.
  std::function<bool(Datagram&)> filter;
  std::function<void()> after_step;
  /// Sees each frame that a gateway sends on its inside port.
  std::function<void(size_t gateway, const Bytes& frame)> inside;
  std::string planted;       ///< what `jvpn audit` must find in the logs; empty: nothing
  uint64_t unreachable = 0;  ///< datagrams of gateways to addresses where nobody is

 private:
  void carry_up(size_t client, const Path& path, std::span<const uint8_t> bytes);
  bool turn_gateway(size_t number);
  void take_frame(size_t gateway, uint16_t port, const Bytes& frame);
  void carry_down(const Endpoint& source, const Endpoint& destination, Bytes bytes);
  void launch(Datagram datagram);
  void deliver(const Datagram& datagram);
  bool deliver_due();
  void answer_arp(size_t gateway, uint16_t port, const Bytes& frame);
  void classify(Datagram& datagram);

  VirtualClock clock_;
  PublicKey gateway_key_{};
  std::vector<GatewaySpec> specs_;
  std::vector<std::unique_ptr<GatewayNode>> gateways_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  std::vector<std::vector<Wire>> wires_;  ///< by client and path
  std::multimap<Millis, Datagram> queue_;
};

}  // namespace jvpn::test
