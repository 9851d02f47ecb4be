// The session engine's host on a gateway: datagrams leave through the workers, installs go to the
// publisher, next hops come from the neighbour tables. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>

#include "common/ip_header.h"
#include "common/port_info.h"
#include "control/events/event_log.h"
#include "control/gateway/gateway_clock.h"
#include "control/neighbor/neighbors.h"
#include "control/publish/injector.h"
#include "control/publish/publisher.h"
#include "control/session/effects.h"

namespace jvpn::gateway {

class GatewayHost final : public session::SessionHost {
 public:
  /// Everything passed outlives it.
  GatewayHost(const GatewayClock& clock, std::span<const PortInfo> ports,
              publish::Injector& injector, neighbor::Neighbors& neighbors,
              publish::Publisher& publisher, events::EventLog& events);

  void apply(const session::Effects& effects) override { effects.carry_out(*this); }
  void send(const Path& path, std::span<const uint8_t> datagram);
  void install_rx(const session::RxInstall& install) { publisher_.install_rx(install); }
  void bind_rx(ReceiverIndex index, const Endpoint& remote) { publisher_.bind_rx(index, remote); }
  void retire_rx(ReceiverIndex index) { publisher_.retire_rx(index); }
  void install_tx(const session::TxInstall& install);
  void withdraw_tx(PeerId peer);
  session::Activity activity(PeerId peer) override;
  session::RxProgress rx_progress(ReceiverIndex index) override;
  uint16_t inner_mtu(const Path& path) override;
  void configured(PeerId peer, const wire::ResponsePayload& answer);
  void emit(const session::Event& event);
  void random(std::span<uint8_t> bytes) override;
  uint64_t clock_us(Millis now) override;
  wire::Timestamp timestamp() override;

  /// A neighbour's address changed: every session whose path goes by it is published anew.
  void neighbor_changed(const neighbor::NeighborKey& key, const std::optional<EtherAddress>& mac);

  /// The path to a configured endpoint by an outside port: one of its addresses, with the endpoint
  /// on its link or behind its gateway. `local_port` is ours. nullopt when the port can't reach it.
  std::optional<Path> path_by(const PortInfo& port, const Endpoint& remote,
                              uint16_t local_port) const;

  uint64_t unroutable() const { return unroutable_; }

 private:
  void follow(PeerId peer, const std::optional<neighbor::NeighborKey>& key);

  const GatewayClock& clock_;
  std::span<const PortInfo> ports_;
  publish::Injector& injector_;
  neighbor::Neighbors& neighbors_;
  publish::Publisher& publisher_;
  events::EventLog& events_;
  std::unordered_map<uint32_t, neighbor::NeighborKey> via_;    ///< by peer
  std::map<neighbor::NeighborKey, std::set<uint32_t>> peers_;  ///< the inverse
  uint64_t unroutable_ = 0;                                    ///< datagrams to where no port leads
};

}  // namespace jvpn::gateway
