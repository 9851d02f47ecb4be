// Gives the attendant its orders: name servers once the tunnel has addresses, and the gateway's
// names for as long as no path carries a session; and follows where the gateway has moved to.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/profile.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "tools/client/attendant/attendant.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/control/session_keeper.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/tunnel/tunnel_interface.h"

namespace jvpn::client::control {

/// What the keeper works on; all of it outlives the keeper.
struct AttendantKeeperParts {
  engine::SessionEngine& engine;
  const dataplane::DataPath& data_path;
  tunnel::TunnelInterface& tunnel;
  ClientHost& host;
  PathFinder& paths;
  SessionKeeper& keeper;
  const FallbackProfile& fallback;  ///< its endpoints are addresses, and stay
};

class AttendantKeeper {
 public:
  /// Between two look-ups while there is no path; each that changes nothing doubles it.
  static constexpr Millis kFirstPause{2'000};
  static constexpr Millis kLongestPause{60'000};

  /// Setting the servers back is for the attendant's end, which is the keeper's. `gateway`, as the
  /// profile has it; `peer`: the engine's.
  AttendantKeeper(std::unique_ptr<attendant::Attendant> attendant, PeerProfile gateway,
                  session::EnginePeer peer, bool dns, AttendantKeeperParts parts);

  int descriptor() const { return attendant_->descriptor(); }
  /// Takes what the attendant says. True: the gateway's addresses have changed, so the paths are to
  /// be looked up.
  bool take(Millis now);
  /// When follow() has an order to give; call it after every input to the engine, too.
  Millis due() const { return due_; }
  void follow(Millis now);

  /// Has the attendant set the name servers back, and end; with `open`, the kill switch's filter
  /// goes, too. An Error: there is none to do that.
  Result<void> end(bool open);

  /// The gateway with the addresses that are known now.
  const PeerProfile& gateway() const { return known_; }
  /// What is in the way, for people: names without an address, name servers that aren't set.
  std::vector<std::string> troubles() const;
  /// `none` (of the profile), `waiting`, `set`, or what is in the way.
  const std::string& dns() const { return dns_; }

 private:
  void take_dns(const std::string& trouble);
  bool take_addresses(Millis now, const attendant::News& news);

  std::unique_ptr<attendant::Attendant> attendant_;  ///< none: it has ended
  AttendantKeeperParts parts_;
  PeerProfile gateway_;
  session::EnginePeer peer_;
  PeerProfile known_;
  std::vector<std::vector<IpAddress>> addresses_;  ///< the latest of each name
  std::vector<std::string> failures_;              ///< of each name; empty: none
  std::string dns_;
  bool dns_due_ = false;
  bool asked_ = false;  ///< a look-up is under way
  bool had_path_ = false;
  Millis pause_ = kFirstPause;
  Millis due_ = kNever;
};

}  // namespace jvpn::client::control
