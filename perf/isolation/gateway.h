// The gateway that faults are tried on: data plane and control loop as jvpnd puts them together,
// between in-memory ports.
//
//   CPU 0  control: ControlLoop::run()
//   CPU 1  the driver: peers, faults, the worker's polls
//
//   peers 172.16.0.0/12 ── router 192.0.2.254 ── wan 192.0.2.1 │ worker │ lan 10.0.0.1
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/ip_header.h"
#include "common/path.h"
#include "common/result.h"
#include "control/events/event_log.h"
#include "control/gateway/control_loop.h"
#include "perf/harness/hugepages.h"
#include "perf/isolation/isolation_options.h"
#include "tests/support/ring_gateway.h"

namespace jvpn::perf {

/// A private folder for socket, key and profiles; goes with everything in it.
class PrivateFolder {
 public:
  static Result<std::unique_ptr<PrivateFolder>> create();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class IsolatedGateway {
 public:
  /// Starts DPDK, once in a process. `key`: the gateway's; `peers`: the public key of each. The
  /// profiles that reloads read, in turns: the same as it runs, then each peer under another name.
  static Result<std::unique_ptr<IsolatedGateway>> create(const IsolationOptions& options,
                                                         const SecretKey& key,
                                                         const std::vector<PublicKey>& peers);
  ~IsolatedGateway();
  IsolatedGateway(const IsolatedGateway&) = delete;
  IsolatedGateway& operator=(const IsolatedGateway&) = delete;

  /// Calls `drive` on the worker's lcore and runs the control loop here until it has returned.
  void run(const std::function<void()>& drive);

  // For the driver.

  /// A datagram from a peer. False: no buffer, or the port's ring is full.
  bool send(uint32_t peer, std::span<const uint8_t> datagram);
  /// A frame as it stands on the wire outside.
  bool send_frame(std::span<const uint8_t> frame);
  /// Polls the worker once and takes what it sent to peers: `take(payload of UDP)`.
  void poll(const std::function<void(std::span<uint8_t>)>& take);
  gateway::TurnWatch& turns() { return loop_->turns(); }
  const std::string& socket() const { return rings_->profile().admin.socket; }
  const char* pages() const { return pages_.size(); }
  uint64_t refused() const { return refused_; }

 private:
  IsolatedGateway() = default;
  Result<void> start(const IsolationOptions& options, const SecretKey& key,
                     const std::vector<PublicKey>& peers);
  Result<void> write_profiles(const SecretKey& key, const GatewayProfile& profile);
  void answer_arp(std::span<const uint8_t> frame);

  std::unique_ptr<PrivateFolder> folder_;
  BenchPages pages_;
  std::unique_ptr<test::RingGateway> rings_;
  std::unique_ptr<events::EventLog> log_;
  gateway::BootClock clock_;
  std::unique_ptr<gateway::ControlLoop> loop_;
  std::atomic<unsigned> reloads_{0};
  std::atomic<bool> ended_{false};  ///< the control loop has returned
  uint64_t refused_ = 0;
};

/// The address and port of a peer, and the gateway's.
Path path_of_peer(uint32_t peer);
inline constexpr EtherAddress kRouterMac{0x02, 0, 0, 0, 0, 0x22};
IpAddress router_address();
IpAddress gateway_address();

}  // namespace jvpn::perf
