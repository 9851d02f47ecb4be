// Everything that can go wrong with paths, at random from a seed: cuts, delays, doubled and
// replayed datagrams, jumps nobody needs, silence long enough to end a session.
#pragma once

#include <random>

#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {

class Storm {
 public:
  Storm(Rig& rig, uint64_t seed) : rig_(rig), random_(seed) {}

  /// Some seconds of bad weather, with data all the while.
  void blow();
  /// All paths are fine again, until the session is, or a new one.
  void calm();
  uint64_t below(uint64_t n) { return random_() % n; }

 private:
  void shuffle_wires();
  void replay_some();

  Rig& rig_;
  std::mt19937_64 random_;
};

}  // namespace jvpn::test
