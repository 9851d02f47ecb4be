// A PartRig with what changes sessions: for the parts that are built upon Lifecycle.
#pragma once

#include "control/session/lifecycle.h"
#include "tests/support/part_rig.h"

namespace jvpn::test {

class SessionRig : public PartRig {
 protected:
  Reporter reporter{context};
  Bindings bindings{context};
  ControlChannel channel{context};
  Lifecycle lifecycle{context, reporter, bindings, channel};
};

}  // namespace jvpn::test
