// A gateway, its peers and the networks between them, under one simulated clock: whatever is due
// first happens next. The clock stands still for all but the gateway's turns, which take the CPU
// time that they took.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "perf/storm/control_core.h"
#include "perf/storm/storm_options.h"
#include "perf/storm/storm_peers.h"

namespace jvpn::perf {

class StormWorld {
 public:
  explicit StormWorld(const StormOptions& options);
  /// Makes the peers and the gateway; nobody has called yet.
  Result<void> start();

  /// Until `done`, looked at now, after each turn of the gateway and each millisecond of the peers,
  /// or the time has come. False: it wasn't done.
  bool run_until(uint64_t until_us, const std::function<bool()>& done);
  void run_for(uint64_t span_us);

  /// Nothing passes a network that is cut, whatever is on its way in it included.
  void cut(uint16_t network) { cut_[network] = true; }
  void mend(uint16_t network) { cut_[network] = false; }

  uint64_t now_us() const { return now_us_; }
  ControlCore& gateway() { return gateway_; }
  StormPeers& peers() { return peers_; }

 private:
  /// A datagram, to be delivered at a time; all paths take the same, so each queue is in order. The
  /// gateway's worker takes them one by one; what its port has no room for is dropped.
  struct Flight {
    uint64_t at_us;
    SentDatagram datagram;
  };
  void deliver(Flight flight, bool to_gateway);
  void turn();

  const StormOptions& options_;
  const uint64_t delay_us_;
  uint64_t now_us_ = 1'000'000'000;
  uint64_t worker_free_us_ = 0;
  std::array<bool, kStormNetworks> cut_{};
  std::deque<Flight> to_gateway_;
  std::deque<Flight> to_peers_;
  std::vector<SentDatagram> sent_;  ///< in the gateway's present turn
  ControlCore gateway_;
  StormPeers peers_;
};

}  // namespace jvpn::perf
