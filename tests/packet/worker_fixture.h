// The shipping workers on in-memory ports: a WAN port and a LAN port made of rings, tables, and
// peers whose end is played by OpenSSL.
//
//   peer 192.0.2.2 ── wan (0) 192.0.2.1 │ workers │ lan (1) 10.0.0.1 ── host 10.0.0.2
//        2001:db8::2          2001:db8::1           fd00::1            fd00::2
//   behind peer n: 10.1.n.0/24, fd01:n::/32 (n in hex)
//
// Nothing runs by itself: a test calls poll(), or run()s workers on threads of its own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "common/exchange.h"
#include "common/handshake_mac.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "common/tunnel_header.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "tests/packet/openssl_aead.h"
#include "tests/packet/packet_builder.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr uint16_t kWan = 0;
inline constexpr uint16_t kLan = 1;
inline constexpr Mac48 kPortMac{};  ///< ring ports have no address of their own
inline constexpr Mac48 kPeerMac{0x02, 0, 0, 0, 0, 0x22};
inline constexpr Mac48 kHostMac{0x02, 0, 0, 0, 0, 0x33};
inline constexpr uint16_t kListenPort = 51'900;
inline constexpr uint16_t kPeerPort = 40'000;

/// Seed of this run's random tests: from JVPN_SEED, else fresh. Printed on first use.
uint64_t run_seed();

struct FreeRing {
  void operator()(rte_ring* ring) const { rte_ring_free(ring); }
};
struct FreePool {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
struct FreeRcu {
  void operator()(rte_rcu_qsbr* rcu) const { rte_free(rcu); }
};

/// What control finds in a ring.
struct Punted {
  PacketNote note;
  Bytes bytes;
};

struct LabOptions {
  uint16_t workers = 1;
  uint32_t peers = 64;
  uint32_t control_ring = 512;
  uint32_t handoff_ring = 512;
  uint32_t port_ring = 4096;
  uint16_t wan_mtu = 1500;
};

class Lab {
 public:
  explicit Lab(const LabOptions& options = {});
  /// Expects every mbuf to be back in the pool.
  ~Lab();

  /// Gives a frame to a port's receive queue.
  void receive(uint16_t port, const Bytes& frame, uint16_t queue = 0);
  /// The same in segments of at most `segment` bytes.
  void receive_scattered(uint16_t port, const Bytes& frame, uint16_t segment);
  /// As control does.
  void inject(const Bytes& packet, const PacketNote& note, uint16_t worker = 0);
  /// Polls every worker once, on this thread. Returns the packets they saw.
  size_t poll();

  /// Takes what was transmitted on a port since the last call, by queue and order.
  std::vector<Bytes> sent(uint16_t port);
  /// Takes what control would find.
  std::vector<Punted> punted(PuntClass punt_class);

  uint64_t drops(Drop reason) const;
  uint64_t all_drops() const;
  /// `name=count …` of those that are not zero, for failure messages.
  std::string drop_text() const;
  uint64_t total(std::atomic<uint64_t> WorkerCounters::*counter) const;
  /// Packets that are in no pool. Empties port and punt rings first.
  size_t packets_out();

  Worker& worker(size_t number) { return *workers_[number]; }
  size_t workers() const { return workers_.size(); }
  SessionTable& sessions() { return *sessions_; }
  RouteTable& routes() { return *routes_; }
  rte_rcu_qsbr* rcu() { return rcu_.get(); }
  Aead& aead() { return aead_; }
  MessageMac& mac() { return mac_; }
  const ResponderMacKeys& mac_keys() const { return mac_keys_; }
  SharedCookieSecrets& cookies() { return cookies_; }
  rte_mempool* pool() { return pool_.get(); }
  rte_ring* rx_ring(uint16_t port, uint16_t queue) { return rings_of(port).rx[queue].get(); }
  rte_ring* tx_ring(uint16_t port, uint16_t queue) { return rings_of(port).tx[queue].get(); }
  rte_mbuf* make_packet(const Bytes& bytes);

 private:
  using Ring = std::unique_ptr<rte_ring, FreeRing>;
  struct PortRings {
    std::vector<Ring> rx;
    std::vector<Ring> tx;
  };

  PortRings& rings_of(uint16_t port) { return port == kWan ? wan_rings_ : lan_rings_; }
  Port open_port(const std::string& name, uint16_t number, PortRings& rings);
  void make_worker_rings();
  void make_workers();
  void add_inside_routes();

  LabOptions options_;
  Aead aead_;
  MessageMac mac_;
  ResponderMacKeys mac_keys_;
  SharedCookieSecrets cookies_{nullptr};
  std::unique_ptr<rte_mempool, FreePool> pool_;
  std::unique_ptr<rte_rcu_qsbr, FreeRcu> rcu_;
  std::unique_ptr<SessionTable> sessions_;
  std::unique_ptr<RouteTable> routes_;
  PortRings wan_rings_;
  PortRings lan_rings_;
  std::vector<Port> ports_;
  std::vector<PortInfo> infos_;
  std::vector<Ring> owned_rings_;
  std::vector<WorkerRings> rings_;
  std::vector<WorkerCounters> counters_;
  std::vector<std::unique_ptr<Worker>> workers_;
  NextHop lan_host_;
};

struct SessionSpec {
  PeerId peer{1};
  Suite suite = Suite::kAes128Gcm;
  Family outer = Family::kIpv4;
  uint16_t rx_lanes = 4;
  uint16_t rx_first_lane = 0;
  uint16_t tx_first_lane = 0;
  uint16_t lanes_per_worker = 1;
  uint16_t inner_mtu = 1420;
  uint64_t quota = UINT64_MAX;
};

/// One session, published while it lives: both records, and the peer's end.
class TestSession {
 public:
  TestSession(Lab& lab, const SessionSpec& spec);
  ~TestSession();
  TestSession(const TestSession&) = delete;
  TestSession& operator=(const TestSession&) = delete;

  /// The frame by which the peer sends an inner packet.
  Bytes seal_at_peer(const Bytes& inner, uint16_t lane, uint64_t sequence) const;
  /// A control message from the peer.
  Bytes control_at_peer(const Bytes& plaintext, uint64_t counter) const;
  /// Any JVP message of this session's path, as a frame.
  Bytes frame_at_peer(const Bytes& message) const;

  struct Opened {
    Bytes inner;
    uint16_t lane;
    uint64_t sequence;
  };
  /// What the peer gets from a frame that the gateway sent; checks every header on the way.
  std::optional<Opened> open_at_peer(const Bytes& frame) const;

  /// A host behind this peer.
  IpAddress host(Family family, uint8_t number = 5) const;

  const SessionSpec& spec() const { return spec_; }
  const RxRecord& rx() const { return *rx_; }
  TxRecord& tx() { return *tx_; }
  RxLane& rx_lane(size_t n) { return rx_lanes_[n]; }
  TxLane& tx_lane(size_t n) { return tx_lanes_[n]; }
  /// A copy of the TxRecord with the next revision, same lanes; not published yet.
  std::unique_ptr<TxRecord> next_revision() const;

 private:
  IpAddress outer(bool peer) const;
  void make_keys();
  void publish();

  Lab& lab_;
  SessionSpec spec_;
  RawKey inbound_{};
  RawKey control_{};
  RawKey outbound_{};
  std::vector<RxLane> rx_lanes_;
  std::vector<LaneWords> rx_words_;
  std::vector<TxLane> tx_lanes_;
  std::unique_ptr<RxRecord> rx_;
  std::unique_ptr<TxRecord> tx_;
};

}  // namespace jvpn::test
