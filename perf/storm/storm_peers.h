// The peers of a storm: an engine of the product each, with its own key, timers and retries. All of
// them share the managers of IPsec-MB, else 100 000 wouldn't fit in memory. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/engine/engine.h"
#include "control/engine/timer_wheel.h"
#include "perf/storm/endings.h"
#include "tests/support/silent_host.h"

namespace jvpn::perf {

class StormPeers {
 public:
  /// Takes a datagram on its way to the gateway.
  using Carry =
      std::function<void(uint32_t peer, const Path& path, std::span<const uint8_t> datagram)>;

  StormPeers(uint64_t seed, Carry carry);

  /// Makes one more peer of that gateway. Its public key.
  Result<PublicKey> add(uint64_t now_us, session::EngineConfig config, const PublicKey& gateway);
  uint32_t size() const { return static_cast<uint32_t>(peers_.size()); }

  /// Calls for a session over the first of these networks; the others are its candidates.
  void dial(uint64_t now_us, uint32_t peer, std::span<const uint16_t> networks);
  /// The networks that it may jump to from now on.
  void set_networks(uint64_t now_us, uint32_t peer, std::span<const uint16_t> networks);
  /// Its link to that network is down.
  void lose(uint64_t now_us, uint32_t peer, uint16_t network);
  /// A planned jump, for all that are on another network and don't jump already.
  void jump(uint64_t now_us, uint16_t network);
  void receive(uint64_t now_us, uint32_t peer, const Path& path, std::span<uint8_t> datagram);
  /// When a timer is due; what is due.
  uint64_t due_us() const;
  void advance(uint64_t now_us);

  /// Peers whose session is attached, as they see it.
  uint64_t attached() const;
  /// Refused requests since the last call, by the reason and detail that peers were told.
  std::map<std::string, uint64_t> take_denied();
  /// Why sessions ended at their peers since the last call.
  Endings take_endings();

 private:
  struct Peer : test::SilentHost {
    Peer(StormPeers& its_owner, uint32_t its_number, uint64_t seed)
        : SilentHost(seed), owner(its_owner), number(its_number) {}
    void send(const Path& path, std::span<const uint8_t> datagram) override {
      owner.carry_(number, path, datagram);
    }
    void emit(const session::Event& event) override { owner.note(event); }
    void install_tx(const session::TxInstall& install) override {
      network = install.path.interface;
    }
    void withdraw_tx(PeerId) override { network.reset(); }
    uint64_t clock_us(Millis) override { return owner.now_us_; }
    wire::Timestamp timestamp() override;

    StormPeers& owner;
    const uint32_t number;
    std::unique_ptr<engine::SessionEngine> engine;
    std::optional<uint16_t> network;  ///< that it is bound to
  };

  void note(const session::Event& event);
  Millis begin(uint64_t now_us);
  void leave(uint32_t peer);

  Carry carry_;
  uint64_t seed_;
  uint64_t now_us_ = 0;
  std::vector<std::unique_ptr<Peer>> peers_;
  engine::TimerWheel timers_{0, Millis{0}};
  std::map<std::string, uint64_t> denied_;
  Endings endings_;
};

}  // namespace jvpn::perf
