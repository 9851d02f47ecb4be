// A gateway as jvpnd puts it together — data plane, workers, control loop — between ports made of
// rings, turned by hand.
//
//   clients ── wan0 (0) 192.0.2.n ─────┐
//                                      ├─ workers, control ─ lan (2) 10.0.0.1, answers pings
//   clients ── wan1 (1) 198.51.100.n ──┘                              n: 1 + the gateway's number
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/profile.h"
#include "control/gateway/control_loop.h"
#include "tests/matrix/event_book.h"
#include "tests/matrix/virtual_clock.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_gateway.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr size_t kWans = 2;
inline constexpr const char* kInsideAddress = "10.0.0.1";

/// The address of a gateway on one of its outside ports.
IpAddress wan_address(size_t gateway, size_t wan);

struct GatewaySpec {
  size_t number = 0;
  uint16_t workers = 1;
  SecretKey private_key;
  std::vector<EnginePeer> peers;
  Policy policy;
  std::function<void(EngineConfig&)> adjust;
  std::vector<EventSinkProfile> sinks;   ///< take the events beside the book
  std::vector<Endpoint> endpoints = {};  ///< of each peer
  std::function<void(GatewayProfile&)> adjust_profile = {};
};

class GatewayNode {
 public:
  GatewayNode(VirtualClock& clock, const GatewaySpec& spec);
  /// Expects every packet to be back in its pool.
  ~GatewayNode();
  GatewayNode(const GatewayNode&) = delete;
  GatewayNode& operator=(const GatewayNode&) = delete;

  /// A frame comes in on a port, on the queue that such a hash chooses.
  void receive(uint16_t port, const Bytes& frame, size_t hash = 0);
  /// Workers and control, until there is nothing for them to do at this time.
  void turn();
  /// One turn of the control loop, at whose clock so much passes with each look.
  void turn_control(uint64_t us_per_look = 0);
  /// Takes what left by a port since the last call.
  std::vector<Bytes> sent(uint16_t port) { return gateway_.sent(port); }
  /// One request to the operator's socket; its answer.
  std::string ask(const std::string& request);
  /// The same in two steps: the descriptor of whoever asks, and its answer.
  int begin_asking(const std::string& request) const;
  std::string answer_to(int client);
  const std::string& admin_socket() const { return gateway_.profile().admin.socket; }

  SessionEngine& engine() { return loop_->engine(); }
  SessionTable& sessions() { return gateway_.dataplane().sessions(); }
  rte_mempool* control_pool() { return gateway_.dataplane().control_pool(); }
  RouteTable& routes() { return gateway_.dataplane().routes(); }
  const EventBook& events() const { return book_; }
  EventLogStatus log_status() const { return log_->status(); }
  uint64_t drops(Drop reason) const { return gateway_.drops(reason); }

  bool stalled = false;     ///< the control core doesn't run; workers do
  std::string reload_from;  ///< the profile that the operator's reload reads, but for its peers
  std::vector<EnginePeer> peers_to_reload;      ///< and the peers that it finds
  std::function<void()> while_reading;          ///< called by the thread that reads it
  std::array<bool, kWans> links{{true, true}};  ///< of the outside ports, as their driver sees them

 private:
  EngineConfig engine_config(const GatewaySpec& spec) const;
  Result<LoadedGateway> load(const SecretKey& key) const;
  void read_events();
  DataplaneView view();

  VirtualClock& clock_;
  RingGateway gateway_;
  EventBook book_{Side::kGateway};
  std::unique_ptr<EventLog> log_;
  EventCursor read_;
  std::unique_ptr<ControlLoop> loop_;
};

}  // namespace jvpn::test
