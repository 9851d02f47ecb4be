// Answers on inside links for the inner addresses of peers whose sessions this gateway carries
// now, so that hosts find the one of several gateways that has the session: proxy ARP (RFC 1027)
// and proxied neighbour advertisements (RFC 4861, §7.2.8).
//
// Whoever carries a session has its addresses; what others say on the link changes nothing. A
// session that begins to be carried is announced, twice, a second apart: peer by peer, at most one
// frame in kSpacing, first announcements before repeated ones, and those of peers that somebody
// asked for before all others. Nothing is sent when it ends: we no longer answer. Control thread
// only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/port_info.h"
#include "common/route_table.h"
#include "common/types.h"
#include "control/neighbor/arp.h"
#include "control/neighbor/nd.h"
#include "control/publish/injector.h"

namespace jvpn::neighbor {

class PeerProxy {
 public:
  /// What the gateway knows of its peers.
  class Peers {
   public:
    virtual ~Peers() = default;
    /// Packets to the peer leave through the tunnel at this moment.
    virtual bool carries(PeerId peer) const = 0;
    /// What it may use; valid until the next reload. Empty when nobody has the id.
    virtual std::span<const Prefix> allowed(PeerId peer) const = 0;
  };
  struct Counters {
    uint64_t answers = 0;        ///< ARP replies and advertisements for peers
    uint64_t announcements = 0;  ///< frames that told everybody of a peer's address
    uint64_t claims = 0;  ///< others that said to have an address of a peer that we carry; ignored
  };
  static constexpr Millis kSpacing{5};     ///< between two announcements of any peers: 200 a second
  static constexpr Millis kRepeat{1'000};  ///< between the two of a peer
  static constexpr size_t kAtOnce = 64;    ///< addresses looked at by one advance()

  /// `room`: ids are below it. Everything passed outlives it.
  PeerProxy(std::span<const PortInfo> ports, publish::Injector& injector, const RouteTable& routes,
            const Peers& peers, size_t room);

  /// The peer's send side is installed, anew or again.
  void installed(PeerId peer);
  /// It is withdrawn, or the install was refused.
  void withdrawn(PeerId peer);
  /// A reload has set the peer's routes: what it may use now is announced when we carry it.
  void routed(PeerId peer);

  /// Whose address that is on this port, if it answers for peers there.
  std::optional<PeerId> peer_of(uint16_t port, const IpAddress& address) const;
  /// Whether that address is a peer's on this port: nobody on the link can have it. Counts whoever
  /// says so of a peer that we carry.
  bool claimed(uint16_t port, const IpAddress& address);
  /// Answer when the target is an address of a peer that we carry.
  void answer(uint16_t port, const ArpMessage& request);
  void answer(uint16_t port, const EtherAddress& from, const NdMessage& solicitation);

  /// Sends the announcement that is due, if there is one.
  void advance(Millis now);

  /// Peers whose announcements aren't complete; one that waits to be repeated is among them.
  size_t pending() const { return places_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Place {
    bool repeated = false;
    Millis due;
    uint64_t number = 0;  ///< rises; below kInTurn: somebody asked for the peer
    auto operator<=>(const Place&) const = default;
  };
  struct Announcement {
    PeerId peer;
    size_t next = 0;    ///< of what it is allowed, on each port
    bool sent = false;  ///< anything
  };
  enum class Look : uint8_t { kNothing, kSent, kNoRoom };

  static constexpr uint64_t kInTurn = uint64_t{1} << 32;

  void enqueue(PeerId peer);
  void urge(PeerId peer);
  void move(Place from, Place to);
  void forget(PeerId peer);
  void end_round(Millis now, const Place& place, Announcement& announcement);
  Look announce_next(const Announcement& announcement, std::span<const Prefix> allowed);

  std::span<const PortInfo> ports_;
  std::vector<uint16_t> answering_;  ///< ports
  publish::Injector& injector_;
  const RouteTable& routes_;
  const Peers& peers_;
  std::vector<bool> installed_;                 ///< by peer; empty when no port answers
  std::map<Place, Announcement> queue_;         ///< at most one of each peer
  std::unordered_map<uint32_t, Place> places_;  ///< by peer, in queue_
  uint64_t made_ = kInTurn;
  uint64_t urged_ = 0;
  Millis next_at_;
  Counters counters_;
};

}  // namespace jvpn::neighbor
