// Engines without a data path: a gateway and its peers. What they send is kept, other effects are
// dropped. One thread.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/noise.h"
#include "control/engine/engine.h"
#include "perf/harness/keep.h"
#include "tests/support/silent_host.h"

namespace jvpn::perf {

struct SentDatagram {
  Path path;
  std::vector<uint8_t> bytes;
};

/// One side of a session: an engine, and what it sent and nobody has taken yet.
class EngineNode : public test::SilentHost {
 public:
  explicit EngineNode(uint32_t seed = 1) : SilentHost(seed) {}
  Result<void> start(session::EngineConfig config, Millis now) {
    return keep(engine, engine::SessionEngine::create(std::move(config), *this, now));
  }
  void send(const Path& path, std::span<const uint8_t> datagram) override {
    sent.push_back({path, {datagram.begin(), datagram.end()}});
  }

  std::unique_ptr<engine::SessionEngine> engine;
  std::vector<SentDatagram> sent;
};

inline constexpr Millis kJumpCooldown{250};

/// Of an engine whose sessions jump as often as a policy may allow, and do little else meanwhile.
inline session::EngineConfig jumping_config(uint32_t slot_bits) {
  session::EngineConfig config;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = slot_bits;
  config.handshakes_per_s = 1'000'000;
  Policy& policy = config.policy;
  policy.volatility.heartbeat_interval = Millis{60'000};
  policy.volatility.heartbeat_volatile = Millis{120'000};
  policy.volatility.transport_dead = Millis{240'000};
  policy.session.transport_loss_ttl = Millis{480'000};
  policy.switching.max_switches_per_min = 64;
  policy.switching.switch_cooldown = kJumpCooldown;
  policy.transport.candidate_validation_ttl = Millis{10'000};
  policy.security.reattach_rate_per_s = 1'000;
  return config;
}

inline constexpr PeerId kGatewayPeer{0};  ///< as the peers know it

/// A gateway and its peers, each reached by its own addresses in several networks.
template <typename Gateway = EngineNode, typename Peer = EngineNode>
struct EngineWorld {
  template <typename... Args>
  explicit EngineWorld(Args&... args) : gateway(args...) {}

  /// `peers` have been added; keys are made here.
  Result<void> start(session::EngineConfig at_gateway, const session::EngineConfig& at_peer) {
    at_gateway.private_key = generate_secret_key();
    const PublicKey public_key = public_key_of(at_gateway.private_key);
    for (auto& peer : peers) {
      session::EngineConfig config = at_peer;
      config.private_key = generate_secret_key();
      PresharedKey psk;
      gateway.random(psk.span());
      at_gateway.peers.push_back({"peer", public_key_of(config.private_key), psk, {}});
      config.peers.push_back({"gateway", public_key, psk, {}});
      if (auto started = peer->start(std::move(config), now); !started) return started;
    }
    return gateway.start(std::move(at_gateway), now);
  }

  /// As the peer sees it.
  static Path path_of(uint32_t peer, uint64_t network) {
    const auto net = static_cast<uint8_t>(network);
    const auto high = static_cast<uint8_t>(peer >> 8);
    const auto low = static_cast<uint8_t>(peer);
    return {net,
            {IpAddress::v4({10, net, high, low}), 40'000},
            {IpAddress::v4({10, net, 255, 255}), wire::kDefaultPort}};
  }
  static Path from_other_side(const Path& path) {
    return {path.interface, path.remote, path.local};
  }

  /// Delivers until that peer and the gateway are silent. The gateway's part is done by
  /// `gateway_gets(path, bytes)`, that of a peer by `peer_gets(peer, path, bytes)`.
  template <typename GatewayGets, typename PeerGets>
  void settle(Peer& peer, GatewayGets&& gateway_gets, PeerGets&& peer_gets) {
    const auto from_peer = [&](Peer& sender) {
      for (auto& sent : std::exchange(sender.sent, {}))
        gateway_gets(from_other_side(sent.path), sent.bytes);
    };
    for (from_peer(peer); !gateway.sent.empty();)
      for (auto& sent : std::exchange(gateway.sent, {})) {
        const auto& address = sent.path.remote.address.bytes;
        Peer& receiver = *peers[size_t{address[2]} << 8 | address[3]];
        peer_gets(receiver, from_other_side(sent.path), sent.bytes);
        from_peer(receiver);
      }
  }
  void settle(Peer& peer) {
    settle(
        peer, [&](const Path& path, auto& bytes) { test::give(*gateway.engine, now, path, bytes); },
        [&](Peer& to, const Path& path, auto& bytes) { test::give(*to.engine, now, path, bytes); });
  }

  Millis now{1'000'000};
  Gateway gateway;
  std::vector<std::unique_ptr<Peer>> peers;
};

}  // namespace jvpn::perf
