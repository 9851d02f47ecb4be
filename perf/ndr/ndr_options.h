// What `jvpn-perf ndr` was asked for. Pure, any thread.
#pragma once

#include <string>

#include "common/types.h"
#include "perf/harness/options.h"

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

inline void add_ndr_options(CLI::App& parser, NdrOptions& options) {
  add_choice<bool>(parser, "--direction", options.open, {{"seal", false}, {"open", true}},
                   "seal|open", "seal: LAN to peer; open: peer to LAN");
  add_number(parser, "--size", options.size, 64, 1'400, "bytes of an inner IP packet");
  add_number(parser, "--trial", options.trial_s, 0.1, 60, "seconds of a trial");
  add_number(parser, "--width", options.width_percent, 0.1, 20,
             "percent of the rate at which a search ends");
  parser
      .add_option("--ring", options.ring,
                  "packets in each ring of the ports; what a pause of the machine may not fill")
      ->check(CLI::IsMember({1'024, 2'048, 4'096, 8'192, 16'384}))
      ->capture_default_str();
  add_suite(parser, options.suite);
  add_json(parser, options.json);
}

}  // namespace jvpn::perf
