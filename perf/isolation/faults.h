// What is done to the gateway while honest peers only give signs of life. The driver's lcore turns
// each; what is paced keeps to its rate, but doesn't catch up on more than a burst.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "perf/harness/command.h"
#include "perf/isolation/crowd.h"
#include "perf/isolation/gateway.h"
#include "perf/isolation/isolation_options.h"

namespace jvpn::perf {

class Fault {
 public:
  virtual ~Fault() = default;
  /// Does what is due. False: it wants more time than a phase has, to be done once at least.
  virtual bool turn(uint64_t now_us) = 0;
  /// Ends; what came of it.
  virtual Json end() { return Json::object(); }
};

/// Control messages that honest peers have sent, to be sent again.
class Captures {
 public:
  static constexpr size_t kMost = 16'384;
  void keep(uint32_t peer, std::span<const uint8_t> datagram);
  struct Capture {
    uint32_t peer;
    std::vector<uint8_t> datagram;
  };
  const std::vector<Capture>& all() const { return captures_; }

 private:
  std::vector<Capture> captures_;
  size_t next_ = 0;
};

/// What faults act upon. Everything outlives them.
struct FaultParts {
  const IsolationOptions& options;
  IsolatedGateway& gateway;
  Crowd& crowd;
  const Captures& captures;
  uint32_t attacker;  ///< the peer that misbehaves
};

inline constexpr const char* kFaultNames[] = {"replay",   "rekey-flood", "type-3-flood",
                                              "arp-flip", "reload",      "show"};
std::unique_ptr<Fault> make_fault(const std::string& name, const FaultParts& parts);

/// One request to the operator's socket; its answer. Blocks, for threads of their own: any CPU.
Json ask_gateway(const std::string& socket, const Json& request);

}  // namespace jvpn::perf
