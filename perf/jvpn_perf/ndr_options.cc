#include "perf/jvpn_perf/ndr_options.h"

#include <map>
#include <set>
#include <string>

#include <CLI/CLI.hpp>

#include "perf/jvpn_perf/suite_option.h"

namespace jvpn::perf {

void add_ndr_options(CLI::App& parser, NdrOptions& options) {
  const std::map<std::string, bool> directions{{"seal", false}, {"open", true}};
  parser.add_option("--direction", options.open, "seal: LAN to peer; open: peer to LAN")
      ->transform(CLI::CheckedTransformer(directions))
      ->type_name("seal|open");
  parser.add_option("--size", options.size, "bytes of an inner IP packet")
      ->check(CLI::Range(64U, 1'400U))
      ->capture_default_str();
  parser.add_option("--trial", options.trial_s, "seconds of a trial")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  parser.add_option("--width", options.width_percent, "percent of the rate at which a search ends")
      ->check(CLI::Range(0.1, 20.0))
      ->capture_default_str();
  const std::set<unsigned> rings{1'024, 2'048, 4'096, 8'192, 16'384};
  parser
      .add_option("--ring", options.ring,
                  "packets in each ring of the ports; what a pause of the machine may not fill")
      ->check(CLI::IsMember(rings))
      ->capture_default_str();
  add_suite_option(parser, options.suite);
  parser.add_flag("--json", options.json, "one JSON object on stdout");
}

}  // namespace jvpn::perf
