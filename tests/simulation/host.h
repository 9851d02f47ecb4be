// What a simulated program has around its engine: a data path that seals and opens by the keys it
// was given, and a network that belongs to the world.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "control/engine/engine.h"
#include "tests/simulation/checks.h"
#include "tests/simulation/clock.h"
#include "tests/support/random.h"
#include "tests/support/rooms.h"

namespace jvpn::sim {

using Bytes = std::vector<uint8_t>;

/// Clients are numbered from 0 on, gateways behind them. Each has an address on each network.
Endpoint endpoint_of(size_t node, size_t network);
Path path_between(size_t from, size_t to, size_t network);
size_t node_of(const Endpoint& endpoint);
size_t network_of(const Path& path);

struct Packet {
  size_t from = 0;
  size_t to = 0;
  Path path{};  ///< as the receiver sees it
  Bytes bytes;
  wire::MessageType type() const { return wire::MessageType{bytes.at(0)}; }
};

/// What the world does for its programs.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual TrueTime now() const = 0;
  virtual void carry(Packet packet) = 0;
  virtual void on_event(size_t node, const session::Event& event) = 0;
  /// Control messages to a node under an index of its are sealed by that key.
  virtual void learn_key(size_t node, ReceiverIndex index, const RawKey& control_key) = 0;
};

class Host final : public session::SessionHost {
 public:
  /// `run`: unique among all programs. All else outlives it.
  Host(Surroundings& world, const Clocks& clocks, Checks& checks, size_t node, uint64_t run,
       uint64_t seed)
      : world_(world), clocks_(clocks), checks_(checks), node_(node), run_(run), random_(seed) {}

  // ---- What the engine wants done, and asks.

  void apply(const session::Effects& effects) override { effects.carry_out(*this); }
  void send(const Path& path, std::span<const uint8_t> datagram);
  void install_rx(const session::RxInstall& install);
  void retire_rx(ReceiverIndex index) { rx_.erase(index.value); }
  void install_tx(const session::TxInstall& install);
  void withdraw_tx(PeerId peer) { tx_.erase(peer.value); }
  void configured(PeerId, const wire::ResponsePayload&) {}
  void emit(const session::Event& event) { world_.on_event(node_, event); }
  session::Activity activity(PeerId peer) override { return activity_[peer.value]; }
  session::RxProgress rx_progress(ReceiverIndex index) override { return progress_[index.value]; }
  session::Published published(PeerId peer) override;
  uint16_t inner_mtu(const Path&) override { return kMtu; }
  void random(std::span<uint8_t> bytes) override { random_.fill(bytes); }
  wire::Timestamp timestamp() override;

  // ---- The data path.

  bool sends_to(PeerId peer) const { return tx_.contains(peer.value); }
  /// Seals a packet to the peer: its content stands for its key, and brings `tag`. Not sent yet.
  std::optional<Packet> seal(PeerId peer, uint64_t tag);
  struct Opened {
    PeerId peer;
    uint64_t tag = 0;
  };
  /// Nothing when it doesn't open; `known`: its index is ours.
  std::optional<Opened> open(const Packet& packet, bool& known);
  std::vector<PeerId> peers_with_tx() const;
  uint64_t run() const { return run_; }

 private:
  static constexpr uint16_t kMtu = 1'400;

  Surroundings& world_;
  const Clocks& clocks_;
  Checks& checks_;
  size_t node_;
  uint64_t run_;
  test::Random random_;
  std::map<uint32_t, session::RxInstall> rx_;
  std::map<uint32_t, session::TxInstall> tx_;
  std::map<uint32_t, session::Activity> activity_;
  std::map<uint32_t, session::RxProgress> progress_;
  std::map<std::pair<RawKey, uint16_t>, uint64_t> sequences_;
};

}  // namespace jvpn::sim
