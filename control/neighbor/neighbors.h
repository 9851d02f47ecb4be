// Link-layer addresses of neighbours on every port: ARP for IPv4, neighbour discovery for IPv6.
//
// incomplete → (answer) reachable → (30 s) probing → (answer) reachable; three questions a second
// apart without an answer end in failed. Nothing but our own need makes an entry: a stranger's ARP
// or ND only updates what we asked for, and a known address only once its holder is silent: another
// claim is met by questions to the present holder (RFC 4861, §7.3; RFC 5227, §2.4 in spirit).
// Static neighbours come from the profile and never change. Everything is bounded. Control thread
// only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "common/ip_header.h"
#include "common/limits.h"
#include "common/port_info.h"
#include "common/types.h"
#include "control/neighbor/arp.h"
#include "control/neighbor/nd.h"
#include "control/neighbor/neighbor_quota.h"
#include "control/neighbor/waiting_room.h"
#include "control/publish/injector.h"

namespace jvpn::neighbor {

class HandedOver;
class PeerProxy;

struct NeighborKey {
  uint16_t port = 0;  ///< our port number
  IpAddress address;
  auto operator<=>(const NeighborKey&) const = default;
};

class Neighbors {
 public:
  struct Limits {
    size_t entries = 4'096;  ///< of one port and origin, the watched ones apart
    size_t packets = 512;    ///< waiting in all entries together (WaitingRoom)
  };
  struct Counters {
    uint64_t questions = 0;  ///< ARP requests and solicitations sent
    /// Of those, the ones to holders that had answered before, by port number.
    std::array<uint64_t, kMaxPorts> again{};
    uint64_t answers = 0;    ///< ARP replies and advertisements sent
    uint64_t ignored = 0;    ///< malformed, off our prefixes, or unasked for
    uint64_t conflicts = 0;  ///< somebody else claims one of our addresses, or a static one
    uint64_t claims = 0;     ///< of a known address by another holder; none is believed at once
    uint64_t moved = 0;      ///< known addresses whose holder was silent, and another answered
    uint64_t table_full = 0;
    uint64_t evicted = 0;          ///< unanswered entries that made room
    uint64_t packets_dropped = 0;  ///< waited in vain, or had no room to wait
    uint64_t waiting_full = 0;     ///< of those, the ones without room
  };
  static constexpr size_t kAtOnce = 64;
  static constexpr Millis kRetry{1'000};
  static constexpr unsigned kAttempts = 3;
  static constexpr Millis kReachable{30'000};
  static constexpr Millis kDoubtRetry{100};    ///< between questions to a holder that is in doubt
  static constexpr Millis kDoubtPause{1'000};  ///< after its answer, nobody else is heard

  /// Told after every change of a resolved address: nullopt means that it failed.
  using Changed = std::function<void(const NeighborKey&, const std::optional<EtherAddress>&)>;
  /// Takes an inner packet whose next hop doesn't answer.
  using Unreachable = std::function<void(rte_mbuf*)>;

  /// `ports` (by number) and `injector` outlive it.
  Neighbors(std::span<const PortInfo> ports, publish::Injector& injector, Limits limits);
  Neighbors(std::span<const PortInfo> ports, publish::Injector& injector)
      : Neighbors(ports, injector, Limits{}) {}
  ~Neighbors();
  Neighbors(const Neighbors&) = delete;
  Neighbors& operator=(const Neighbors&) = delete;

  void on_changed(Changed changed) { changed_ = std::move(changed); }
  void on_unreachable(Unreachable unreachable) { unreachable_ = std::move(unreachable); }
  /// Has what isn't asked of our own addresses answered by `peers`, which outlives it.
  void answer_for(PeerProxy& peers) { peers_ = &peers; }
  /// Has who says to have a peer's address told to `handed_over`, which outlives it.
  void tell(HandedOver& handed_over) { handed_over_ = &handed_over; }

  /// The neighbour that a packet to `destination` leaves `port` for: itself on the port's link,
  /// else the port's gateway of that family. nullopt: neither.
  std::optional<NeighborKey> next_hop(uint16_t port, const IpAddress& destination) const;

  /// Keeps an entry resolved until as many unwatch() calls. Returns the address if it is known.
  std::optional<EtherAddress> watch(Millis now, const NeighborKey& key);
  void unwatch(const NeighborKey& key);
  std::optional<EtherAddress> resolved(const NeighborKey& key) const;

  /// Sends a finished frame but for its destination address, which it may wait for.
  void send_frame(Millis now, const NeighborKey& key, rte_mbuf* frame, uint32_t flow);
  /// An inner packet waits for its next hop, then is routed anew.
  void send_inner(Millis now, const NeighborKey& key, rte_mbuf* packet);

  /// ARP and ND as received on `port`; `bytes` begin after the Ethernet header.
  void on_arp(Millis now, uint16_t port, std::span<const uint8_t> bytes);
  void on_nd(Millis now, uint16_t port, const EtherAddress& from, std::span<const uint8_t> bytes);

  /// Tells every link our addresses: gratuitous ARP, unsolicited advertisements.
  void announce();
  /// What is due, at most kAtOnce entries: the others in later calls.
  void advance(Millis now);
  Millis next_deadline() const { return due_.empty() ? Millis{UINT64_MAX} : due_.begin()->first; }

  size_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  enum class State : uint8_t { kIncomplete, kReachable, kProbing, kFailed, kStatic };
  struct Waiting {
    rte_mbuf* packet;
    bool inner;
    uint32_t flow;
    std::optional<PeerId> from;  ///< that sent it
  };
  struct Entry {
    State state = State::kIncomplete;
    EtherAddress mac{};
    unsigned attempts = 0;
    unsigned watchers = 0;
    bool used = false;     ///< sent to since it was last confirmed
    bool doubted = false;  ///< probing, because somebody else claims the address
    Millis undoubted_until;
    Millis due{UINT64_MAX};  ///< as in due_
    std::vector<Waiting> waiting;
    EntryOrigin origin = EntryOrigin::kWatched;
    uint64_t number = 0;  ///< rises from entry to entry
    bool known() const { return state != State::kIncomplete && state != State::kFailed; }
    /// Its holder was silent, and everybody has been asked.
    bool asks_all() const { return state == State::kProbing && attempts == kAttempts; }
  };

  Entry* find(const NeighborKey& key);
  Entry* find_or_ask(Millis now, const NeighborKey& key, EntryOrigin origin);
  NeighborQuota& quota(uint16_t port, EntryOrigin origin) { return quotas_[{port, origin}]; }
  void move(const NeighborKey& key, Entry& entry, EntryOrigin origin);
  bool make_room(uint16_t port, EntryOrigin origin);
  void forget(std::map<NeighborKey, Entry>::iterator at);
  void set_due(const NeighborKey& key, Entry& entry, Millis at);
  void doubt(Millis now, const NeighborKey& key, Entry& entry);
  void drop_waiting(Entry& entry, bool tell);
  void wait(Millis now, const NeighborKey& key, const Waiting& waiting);
  void send_now(uint16_t port, const EtherAddress& mac, const Waiting& waiting);
  void learn(Millis now, const NeighborKey& key, const EtherAddress& mac);
  void ask(Millis now, const NeighborKey& key, Entry& entry);
  void fail(Millis now, const NeighborKey& key, Entry& entry);
  bool advance_entry(Millis now, const NeighborKey& key, Entry& entry);
  bool on_link(uint16_t port, const IpAddress& address) const;
  void on_solicitation(Millis now, uint16_t port, const EtherAddress& from,
                       const NdMessage& message);
  bool is_peers(uint16_t port, const IpAddress& address, const std::optional<EtherAddress>& mac);

  std::span<const PortInfo> ports_;
  publish::Injector& injector_;
  Limits limits_;
  Changed changed_;
  Unreachable unreachable_;
  PeerProxy* peers_ = nullptr;
  HandedOver* handed_over_ = nullptr;
  std::map<NeighborKey, Entry> entries_;
  std::map<std::pair<uint16_t, EntryOrigin>, NeighborQuota> quotas_;
  uint64_t made_ = 0;
  WaitingRoom room_{limits_.packets};
  std::set<std::pair<Millis, NeighborKey>> due_;  ///< of all but the static ones
  Counters counters_;
};

}  // namespace jvpn::neighbor
