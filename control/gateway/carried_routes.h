// What the sessions that this gateway carries at this moment make reachable by it, for routing
// daemons (`jvpn routes`).
//
// Peers stand in the order of their latest change. A follower has a place in that order, and reads
// each peer as it is when its turn comes: what changes twice meanwhile is read once. So a slow
// follower costs no memory and misses nothing that still holds. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/types.h"
#include "control/admin/admin_socket.h"
#include "control/gateway/gateway_clock.h"
#include "control/gateway/turn_limit.h"
#include "control/neighbor/peer_proxy.h"

namespace jvpn::gateway {

class CarriedRoutes {
 public:
  /// What the gateway knows of its peers.
  class Peers : public neighbor::PeerProxy::Peers {
   public:
    virtual std::string name(PeerId peer) const = 0;
    /// For want of proof that our sessions are ours: others may have them already.
    virtual bool silent() const = 0;
  };
  static constexpr size_t kPrefixesOfLine = 64;
  static constexpr Millis kAlive{500};  ///< a follower gets a line at least so often

  /// `room`: ids are below it. Everything passed outlives it.
  CarriedRoutes(const GatewayClock& clock, const TurnLimit& limit, const Peers& peers, size_t room)
      : clock_(clock), limit_(limit), peers_(peers), carried_(room), latest_(room) {}

  /// The peer's send side is installed, anew or again.
  void installed(PeerId peer);
  /// It is withdrawn, or the install was refused.
  void withdrawn(PeerId peer);
  /// A reload has set what the peer may use.
  void routed(PeerId peer);

  /// JSON lines: each peer that is carried now, then `{"synced": true}`, and to who follows each
  /// change after that. A line of a peer holds all its prefixes, which take the place of those
  /// before: `{"peer": ID, "name": …, "routes": […]}`; of many, each line but the last has
  /// `"more": true` and the next one begins at prefix `"from"`. `{"silent": true}`: nothing is
  /// carried, until other lines follow. `{"alive": true}`: nothing has changed. Must not outlive
  /// us.
  std::unique_ptr<admin::LineStream> open(bool follow) const;

 private:
  class Stream;
  void change(PeerId peer);

  const GatewayClock& clock_;
  const TurnLimit& limit_;
  const Peers& peers_;
  std::vector<bool> carried_;             ///< by peer
  std::vector<uint64_t> latest_;          ///< by peer, the number of its latest change; 0: none
  std::map<uint64_t, PeerId> by_change_;  ///< each peer that ever changed, once
  uint64_t changes_ = 0;
};

}  // namespace jvpn::gateway
