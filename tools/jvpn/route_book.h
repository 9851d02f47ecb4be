// What a gateway tells of the routes that it carries (control/gateway/carried_routes.h), as changes
// of single prefixes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/ip.h"
#include "common/result.h"

namespace jvpn {

/// Where the changes go. An Error ends the command.
class RouteSink {
 public:
  virtual ~RouteSink() = default;
  virtual Result<void> add(const Prefix& prefix, const std::string& peer) = 0;
  virtual Result<void> withdraw(const Prefix& prefix, const std::string& peer) = 0;
  /// All that the gateway carries is added.
  virtual Result<void> synced(size_t count) = 0;
  /// Nothing is known of what it carries, and everything is withdrawn. `why` is safe to print.
  virtual Result<void> lost(const std::string& why) = 0;
};

class RouteBook {
 public:
  /// It outlives us.
  explicit RouteBook(RouteSink& sink) : sink_(sink) {}

  /// One line of the gateway's. An Error is of the sink, or says that it is no such line.
  Result<void> take(std::string_view line);
  /// Withdraws everything, because of `why`. Says so once while nothing comes.
  Result<void> lose(const std::string& why);

 private:
  struct Peer {
    std::string name;
    std::vector<Prefix> prefixes;  ///< in order
  };
  Result<void> take_peer(const nlohmann::json& line);
  Result<void> replace(uint32_t id, Peer peer);
  Result<void> withdraw(uint32_t id, const Peer& from, const Prefix& prefix);

  RouteSink& sink_;
  std::unordered_map<uint32_t, Peer> peers_;  ///< those with prefixes
  std::map<Prefix, uint32_t> owners_;         ///< of all prefixes: who was given it last
  Peer coming_;                               ///< of a peer whose last line isn't there yet
  std::string lost_;                          ///< why; empty: lines have come since
};

}  // namespace jvpn
