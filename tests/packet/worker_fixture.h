// The shipping workers on in-memory ports: a WAN port and a LAN port made of rings, tables, and
// peers whose end is played by OpenSSL.
//
//   peer 192.0.2.2 ── wan (0) 192.0.2.1 │ workers │ lan (1) 10.0.0.1 ── host 10.0.0.2
//        2001:db8::2          2001:db8::1           fd00::1            fd00::2
//   behind peer n: 10.1.n.0/24, fd01:n::/32 (n in hex)
//
// Nothing runs by itself: a test calls poll(), or run()s workers on threads of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/exchange.h"
#include "common/handshake_mac.h"
#include "common/hold_terms.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "common/tunnel_header.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_gateway.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {

struct LabOptions {
  uint16_t workers = 1;
  uint32_t peers = 64;
  uint32_t control_ring = 512;
  uint32_t handoff_ring = 512;
  uint32_t handshakes_per_s = 1'000;
  uint32_t port_ring = 4096;
  uint16_t wan_mtu = 1500;
  uint32_t hold_packets = 0;
};

class Lab : public RingGateway {
 public:
  explicit Lab(const LabOptions& options = {});
  /// Expects every mbuf to be back in its pool.
  ~Lab();

  /// A frame comes in in segments of at most `segment` bytes.
  void receive_scattered(uint16_t port, const Bytes& frame, uint16_t segment);
  /// As control does.
  void inject(const Bytes& packet, const PacketNote& note, uint16_t worker = 0);
  /// Takes what control would find.
  std::vector<Punted> punted(PuntClass punt_class);

  SessionTable& sessions() { return dataplane().sessions(); }
  RouteTable& routes() { return dataplane().routes(); }
  rte_rcu_qsbr* rcu() const { return dataplane().rcu(); }
  SharedCookieSecrets& cookies() { return dataplane().cookie_secrets(); }
  Aead& aead() { return aead_; }
  MessageMac& mac() { return mac_; }
  const ResponderMacKeys& mac_keys() const { return mac_keys_; }

 private:
  Lab(const LabOptions& options, MessageMac mac);
  void add_inside_routes();

  Aead aead_;
  MessageMac mac_;
  ResponderMacKeys mac_keys_;
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
  uint64_t mask = 0x5A17'0C3D'96E2'B84F;  ///< of all counters
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
  /// Until it is, control messages are expected from the peer's own address.
  void set_confirmed(bool confirmed);
  /// As if the index were another session's from here on.
  void install_anew() { ++rx_->serial; }
  TxRecord& tx() { return *tx_; }
  SharedHop& hop() { return hop_; }
  RxLane& rx_lane(size_t n) { return rx_lanes_[n]; }
  TxLane& tx_lane(size_t n) { return tx_lanes_[n]; }
  /// All bytes of both records and of what they name.
  Bytes state() const;
  /// A copy of the TxRecord with the next revision, same lanes; not published yet.
  std::unique_ptr<TxRecord> next_revision() const;
  /// From now on the peer is sent to under another index, on fresh lanes; what was held is settled
  /// by `terms`, which outlive the session. The record of before stays, for workers that have it.
  void jump(const HoldTerms* terms);

 private:
  IpAddress outer(bool peer) const;
  void make_keys();
  void publish();

  Lab& lab_;
  SessionSpec spec_;
  RawKey inbound_{};
  RawKey control_{};
  RawKey outbound_{};
  std::vector<RxLane> rx_lanes_;  ///< and room for the RxControl behind them
  std::vector<LaneWords> rx_words_;
  std::vector<TxLane> tx_lanes_;
  std::unique_ptr<RxRecord> rx_;
  std::unique_ptr<TxRecord> tx_;
  std::vector<std::unique_ptr<TxRecord>> left_;  ///< of bindings before
  std::vector<std::vector<TxLane>> left_lanes_;
  SharedHop hop_;
};

}  // namespace jvpn::test
