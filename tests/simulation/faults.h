// What goes wrong in a simulation: a script that the seed draws.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/world.h"

namespace jvpn::sim {

enum class FaultKind : uint8_t {
  kCrash,         ///< a program is killed; it is started again at the end
  kReboot,        ///< the machine with it
  kNewMachine,    ///< started again at the end on one that has another state directory
  kStop,          ///< the operator stops a program, and starts it at the end
  kPause,         ///< nothing of a program runs
  kStallControl,  ///< its control thread doesn't run
  kStallStore,    ///< its store's thread doesn't run
  kCutStore,      ///< a gateway doesn't reach the store
  kFlakyStore,    ///< transactions and answers of a gateway are lost, or late
  kSlowStore,     ///< answers to a gateway are late
  kNoQuorum,      ///< the store answers nobody
  kCutPair,       ///< nothing passes between a client and a gateway, and nobody is told
  kHop,           ///< a client is told that all its paths to a gateway are gone
  kPathDown,      ///< or one of them
  kStorm,         ///< loss, copies and reordering between clients and gateways
  kSetWall,       ///< the wall clock of a machine is set
  kTerminate,     ///< the operator ends a session
  kRestartClient,
  kJump,
  // What belongs together.
  kIsolate,     ///< a gateway loses the store, its clients leave it one after the other
  kEndUnheard,  ///< a session is ended while its client doesn't hear of it
  kEndAtOnce,   ///< a session is ended, unheard, while the store keeps its beginning back
  kLateWrite,   ///< a gateway's writes come when its run is over
  kStumble,     ///< a gateway starts again, and is killed while it begins
  kComeAndGo    ///< a gateway starts again, a client comes back to it and leaves it at once
};

struct Fault {
  FaultKind kind{};
  TrueTime from = 0;
  TrueTime to = 0;
  size_t gateway = 0;
  size_t client = 0;
  size_t network = 0;
  int64_t amount = 0;  ///< kSetWall: ms
  double share = 0;    ///< of what is lost
};

/// For a person.
std::string to_text(const Fault& fault);

class Script {
 public:
  /// Faults that the world's seed draws; they are at work from here on.
  explicit Script(World& world);

  const std::vector<Fault>& faults() const { return faults_; }
  /// All are over by then.
  TrueTime end() const { return end_; }
  /// Whatever is still wrong is mended, but for a gateway that may be gone for good.
  void mend();

 private:
  Fault draw(TrueTime from, TrueTime longest);
  void draw_calm();
  void draw_wild();
  void begin(const Fault& fault);
  void end(const Fault& fault);
  void begin_together(const Fault& fault);
  void come_and_go(const Fault& fault, size_t gateway);
  void begin_at_gateway(const Fault& fault);
  void begin_at_client(const Fault& fault);
  void set_paths(const Fault& fault, bool there);
  void move_machine(const Fault& fault);
  void leave(size_t client, size_t gateway, TrueTime after, TrueTime until);
  test::Random& random() { return world_.random(); }

  World& world_;
  std::vector<Fault> faults_;
  TrueTime end_ = 0;
};

}  // namespace jvpn::sim
