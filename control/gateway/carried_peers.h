// Which peers' sessions this gateway carries, and what those may use, for the LAN and for routing
// daemons.
// Control thread only.
#pragma once

#include <span>
#include <string>

#include <rte_cycles.h>

#include "common/session_table.h"
#include "control/gateway/carried_routes.h"
#include "control/gateway/peer_book.h"
#include "control/publish/publisher.h"

namespace jvpn::gateway {

class CarriedPeers final : public CarriedRoutes::Peers {
 public:
  /// All outlive it.
  CarriedPeers(const PeerBook& book, const publish::Publisher& publisher,
               const SessionTable& sessions)
      : book_(book), publisher_(publisher), sessions_(sessions) {}

  bool carries(PeerId peer) const override { return publisher_.carries(peer, rte_rdtsc()); }
  std::span<const Prefix> allowed(PeerId peer) const override {
    const PeerProfile* found = book_.find(peer);
    return found == nullptr ? std::span<const Prefix>{} : found->allowed_ips;
  }
  std::string name(PeerId peer) const override { return book_.name(peer); }
  bool silent() const override { return rte_rdtsc() > sessions_.silent_after(); }

 private:
  const PeerBook& book_;
  const publish::Publisher& publisher_;
  const SessionTable& sessions_;
};

}  // namespace jvpn::gateway
