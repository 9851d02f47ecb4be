// The session engine's host on a gateway: datagrams leave through the workers, installs go to the
// publisher, next hops come from the neighbour tables. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "common/ip_header.h"
#include "common/port_info.h"
#include "control/admin/key_log.h"
#include "control/events/event_log.h"
#include "control/gateway/carried_routes.h"
#include "control/gateway/gateway_clock.h"
#include "control/gateway/outside_hops.h"
#include "control/gateway/turn_limit.h"
#include "control/neighbor/handed_over.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/peer_proxy.h"
#include "control/publish/injector.h"
#include "control/publish/publisher.h"
#include "control/session/effects.h"

namespace jvpn::gateway {

class GatewayHost final : public session::SessionHost {
 public:
  /// Everything passed outlives it.
  GatewayHost(const GatewayClock& clock, const TurnLimit& limit, std::span<const PortInfo> ports,
              publish::Injector& injector, neighbor::Neighbors& neighbors, neighbor::PeerProxy& lan,
              CarriedRoutes& routes, neighbor::HandedOver& handed_over,
              publish::Publisher& publisher, publish::Reclaimer& reclaimer,
              events::EventLog& events);

  void apply(const session::Effects& effects) override {
    if (key_log_ != nullptr) key_log_->write(effects);
    effects.carry_out(*this);
    events_.wake();
  }
  /// Has the keys written there that are installed from now on; null: nowhere.
  void log_keys(std::unique_ptr<admin::KeyLog> log) { key_log_ = std::move(log); }
  void send(const Path& path, std::span<const uint8_t> datagram);
  void install_rx(const session::RxInstall& install);
  void await_answer(ReceiverIndex index) { publisher_.await_answer(index); }
  void await_reset(PeerId peer, ReceiverIndex index) { publisher_.await_reset(peer, index); }
  void bind_rx(const session::RxBind& bind) { publisher_.bind_rx(bind); }
  void retire_rx(ReceiverIndex index) { publisher_.retire_rx(index); }
  void close_rx(PeerId, ReceiverIndex index) { publisher_.retire_rx(index, publish::Report::kYes); }
  void install_tx(const session::TxInstall& install);
  void withdraw_tx(PeerId peer, session::Waiting waiting);
  void settle_hold(PeerId peer, const std::vector<LaneReport>& reports, bool carried) {
    publisher_.hold().settle(peer, reports, carried);
  }
  void handed_over(PeerId peer);
  void extend(const session::Extend& extend);
  session::Activity activity(PeerId peer) override;
  session::RxProgress rx_progress(ReceiverIndex index) override;
  session::Published published(PeerId peer) override;
  uint16_t inner_mtu(const Path& path) override;
  bool reserve_rx(PeerId peer, ReceiverIndex index, uint16_t lanes) override {
    return publisher_.reserve_rx(peer, index, lanes);
  }
  void release_rx(ReceiverIndex index) override { publisher_.release_rx(index); }
  bool reserve_tx(PeerId peer, uint16_t lanes) override {
    return hops_.reserve() && publisher_.reserve_tx(peer, lanes);
  }
  void configured(PeerId peer, const wire::ResponsePayload& answer);
  void emit(const session::Event& event);
  void random(std::span<uint8_t> bytes) override;
  uint64_t clock_us(Millis now) override;
  bool slice_over() const override { return limit_.spent(); }
  wire::Timestamp timestamp() override;

  /// A neighbour's address changed, for every session whose path goes by it.
  void neighbor_changed(const neighbor::NeighborKey& key, const std::optional<EtherAddress>& mac) {
    hops_.neighbor_changed(key, mac);
  }

  /// The path to a configured endpoint by an outside port: one of its addresses, with the endpoint
  /// on its link or behind its gateway. `local_port` is ours. nullopt when the port can't reach it.
  std::optional<Path> path_by(const PortInfo& port, const Endpoint& remote,
                              uint16_t local_port) const;

  /// Peers whose latest installs were refused, once each; the list is empty then.
  std::set<PeerId> take_refused() { return std::exchange(refused_, {}); }
  uint64_t unroutable() const { return unroutable_; }

 private:
  bool next_hop_known(PeerId peer, const TxRecord& record) const;
  bool note(PeerId peer, publish::Refusal why);
  void carry(PeerId peer, bool carried);
  void go_by(PeerId peer, const std::optional<neighbor::NeighborKey>& key);

  const GatewayClock& clock_;
  const TurnLimit& limit_;
  std::span<const PortInfo> ports_;
  publish::Injector& injector_;
  neighbor::Neighbors& neighbors_;
  neighbor::PeerProxy& lan_;
  CarriedRoutes& routes_;
  neighbor::HandedOver& handed_over_;
  publish::Publisher& publisher_;
  events::EventLog& events_;
  std::unique_ptr<admin::KeyLog> key_log_;  ///< null: keys are logged nowhere
  OutsideHops hops_;
  std::unordered_map<uint32_t, neighbor::NeighborKey> via_;  ///< what a peer's record joined
  std::set<PeerId> refused_;
  uint64_t unroutable_ = 0;  ///< datagrams to where no port leads
};

}  // namespace jvpn::gateway
