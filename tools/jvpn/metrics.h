// `jvpn metrics`: an exporter for Prometheus, beside the program that it tells of.
#pragma once

#include <string>
#include <vector>

namespace jvpn {

struct MetricsCommand {
  std::string listen = "127.0.0.1:9470";  ///< ADDRESS:PORT, IPv6 in brackets
  std::vector<std::string> names;         ///< that it answers under, beside addresses
  bool once = false;                      ///< print them, and end
  bool list = false;                      ///< print the table of docs/METRICS.md
};

/// Serves http://LISTEN/metrics until Ctrl-C. The program may be away, now or later. Gives the exit
/// status.
int run_metrics(const std::string& socket_path, const MetricsCommand& command);

}  // namespace jvpn
