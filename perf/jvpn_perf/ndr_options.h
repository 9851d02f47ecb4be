// What `jvpn-perf ndr` was asked for. Pure, any thread.
#pragma once

#include <cstdint>

#include "common/types.h"

namespace CLI {
class App;
}

namespace jvpn::perf {

struct NdrOptions {
  bool open = false;   ///< else seal: from the LAN to the peer
  unsigned size = 64;  ///< of inner IP packets
  double trial_s = 2;
  double width_percent = 1;  ///< of the rate: how close the search goes
  unsigned ring = 16'384;    ///< packets in each of the ports' rings; a power of two
  Suite suite = Suite::kAes128Gcm;
  bool json = false;

  const char* direction() const { return open ? "open" : "seal"; }
};
void add_ndr_options(CLI::App& parser, NdrOptions& options);

}  // namespace jvpn::perf
