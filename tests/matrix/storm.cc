#include "tests/matrix/storm.h"

#include "tests/support/rooms.h"

namespace jvpn::test {

void Storm::shuffle_wires() {
  const bool silence = below(6) == 0;
  const size_t alive = below(kPaths);
  for (size_t number = 0; number < kPaths; ++number) {
    Wire& wire = rig_.wire(number);
    wire.delay = Millis{1 + below(40)};
    wire.copies = 1 + static_cast<unsigned>(below(2));
    wire.cut_up = silence || (number != alive && below(10) < 7);
    wire.cut_down = silence || (number != alive && below(10) < 7);
  }
}

void Storm::replay_some() {
  for (int i = 0; i < 20 && !rig_.sent.empty(); ++i) {
    const Datagram& again = rig_.sent[below(rig_.sent.size())];
    if (again.up) rig_.inject(again);
  }
}

void Storm::blow() {
  shuffle_wires();
  if (below(2) == 0) rig_.wish_jump(below(kPaths));
  if (below(3) == 0) replay_some();
  const Millis long_silence{18'000};
  const bool silent = rig_.wire(0).cut_up && rig_.wire(1).cut_up && rig_.wire(2).cut_up;
  rig_.run_with_data(silent ? long_silence : Millis{1'000 + below(6'000)}, Millis{20}, Millis{2});
}

void Storm::calm() {
  for (size_t number = 0; number < kPaths; ++number) rig_.wire(number) = Wire{};
  EXPECT_TRUE(rig_.run_until([this] { return rig_.attached(); }, Millis{40'000}));
  rig_.run_for(Millis{5'000});
  EXPECT_TRUE(rig_.serves());
}

}  // namespace jvpn::test
