// jvpn up and jvpn down: a client of this host begins and ends, as with wg-quick.
#pragma once

#include <chrono>
#include <string>

namespace jvpn {

struct UpCommand {
  std::string client;  ///< NAME or FILE
  bool as_json = false;
  std::chrono::seconds wait{20};  ///< until it is attached; 0: doesn't wait
  bool keep = false;              ///< it goes on dialling when it isn't attached by then
};

/// Exit 0: attached, or up already; 1: not, stderr says why, and nothing is left of it (unless
/// `keep`); 2: a bad profile or name.
int run_up(const UpCommand& command);

/// Exit 0: it is down, and routes, rules and name servers are as before; 1: not; 2: a bad name.
int run_down(const std::string& client, bool as_json);

}  // namespace jvpn
