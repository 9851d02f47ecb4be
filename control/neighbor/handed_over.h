// Packets from the inside for peers whose session another gateway has taken from this one a moment
// ago: hosts still send them here. They go on to that gateway, over the link by which they came,
// where it answers for the peer's addresses (PeerProxy). Until it does they wait.
//
// For kFor after the hand-over; only on ports that answer for peers; bounded by addresses and by
// packets, of each address and in all: what is beyond is dropped and counted. Whoever on the link
// says in that time that it has such an address is believed, as of any address there. Control
// thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include <rte_mbuf.h>

#include "common/port_info.h"
#include "common/session_table.h"
#include "common/types.h"
#include "control/neighbor/arp.h"
#include "control/neighbor/peer_proxy.h"
#include "control/publish/injector.h"

namespace jvpn::neighbor {

class HandedOver {
 public:
  struct Counters {
    uint64_t forwarded = 0;  ///< packets that went to the other gateway
    uint64_t waited = 0;     ///< of those, until it was known
    uint64_t dropped = 0;    ///< no room to wait, or nobody answered
    uint64_t questions = 0;  ///< ARP requests and solicitations
  };
  static constexpr Millis kFor{3'000};
  static constexpr Millis kAskAgain{20};  ///< the other one answers as soon as it has the session
  static constexpr size_t kAddresses = 1'024;
  static constexpr size_t kPacketsPerAddress = 128;
  static constexpr size_t kPackets = 2'048;
  static constexpr size_t kAtOnce = 64;  ///< questions in kAskAgain, of all addresses

  /// Tells the workers by `sessions` whether to hand over what is for peers without a session.
  /// Everything passed outlives it.
  HandedOver(std::span<const PortInfo> ports, publish::Injector& injector, const PeerProxy& lan,
             SessionTable& sessions)
      : ports_(ports), injector_(injector), lan_(lan), sessions_(sessions) {}
  ~HandedOver();
  HandedOver(const HandedOver&) = delete;
  HandedOver& operator=(const HandedOver&) = delete;

  /// Another gateway has the peer's session.
  void gone(Millis now, PeerId peer);
  /// It is here again.
  void back(PeerId peer);
  /// Takes an inner packet (data starts at IP) that came in on `port`, and has nowhere to go here.
  void forward(Millis now, uint16_t port, rte_mbuf* packet);
  /// Somebody on the link says that it has that address, which is a peer's.
  void heard(uint16_t port, const IpAddress& address, const EtherAddress& mac);
  /// Asks again, and forgets what is over.
  void advance(Millis now);

  size_t waiting() const { return waiting_; }
  const Counters& counters() const { return counters_; }

 private:
  using Key = std::pair<uint16_t, IpAddress>;
  struct Address {
    PeerId peer;
    std::optional<EtherAddress> mac;
    Millis ask_at;
    std::vector<rte_mbuf*> frames;  ///< but for their destination
  };
  using Addresses = std::map<Key, Address>;

  /// False: not now, as many were asked lately as may be.
  bool ask(Millis now, const Key& key);
  bool may_ask(Millis now);
  void send(uint16_t port, const EtherAddress& mac, rte_mbuf* frame);
  void drop(rte_mbuf* packet);
  Addresses::iterator forget(Addresses::iterator at);

  std::span<const PortInfo> ports_;
  publish::Injector& injector_;
  const PeerProxy& lan_;
  SessionTable& sessions_;
  std::unordered_map<uint32_t, Millis> until_;  ///< by peer
  Addresses addresses_;
  size_t waiting_ = 0;
  Millis next_look_;
  Millis window_;     ///< when the latest kAskAgain began
  size_t asked_ = 0;  ///< in it
  Key latest_;        ///< whom advance() has asked for last: the next one has its turn
  Counters counters_;
};

}  // namespace jvpn::neighbor
