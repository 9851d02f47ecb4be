// A SessionRig for an initiator's jumps: one session over network 1, candidates on 2 and 3.
#pragma once

#include "control/jump/jumper.h"
#include "tests/support/session_rig.h"

namespace jvpn::test {

class JumpRig : public SessionRig {
 protected:
  JumpRig() {
    lifecycle.set_parts(parts);
    learn(session, 4);
    candidates.replace(kPeer, std::vector{path_over(2), path_over(3)});
  }
  Liveness liveness{context, lifecycle, bindings, channel};
  Candidates candidates{context};
  QualityMonitor quality{context, lifecycle, channel, candidates};
  Prober prober{context, lifecycle, bindings, channel, candidates};
  Jumper jumper{context,    lifecycle, reporter, bindings, channel,
                candidates, quality,   prober,   liveness};
  std::array<Part*, 4> parts{&liveness, &quality, &prober, &candidates};
  Session& session = attached(true);
};

}  // namespace jvpn::test
