// The engine's host on a client: its keys go to the data path, its packets to the underlays, its
// configuration to the tunnel interface, its events to the log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "control/admin/key_log.h"
#include "control/events/event_log.h"
#include "control/session/effects.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/tunnel/tunnel_interface.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What the host works on; all of it, and the event log, outlives the host.
struct ClientParts {
  dataplane::DataPath& data_path;
  tunnel::TunnelInterface& tunnel;
  std::vector<underlays::Underlay>& underlays;
};

class ClientHost : public session::SessionHost {
 public:
  struct Options {
    std::optional<uint16_t> mtu;      ///< the profile's bound
    bool ipv6_inside = false;         ///< then the tunnel takes IPv6's minimum, whatever paths do
    std::vector<Endpoint> endpoints;  ///< their paths' MTUs bound the tunnel's without candidates
  };
  ClientHost(ClientParts parts, Options options, events::EventLog& events);

  void apply(const session::Effects& effects) override {
    if (key_log_ != nullptr) key_log_->write(effects);
    effects.carry_out(*this);
    events_.wake();
  }
  /// Has the keys written there that are installed from now on; null: nowhere.
  void log_keys(std::unique_ptr<jvpn::admin::KeyLog> log) { key_log_ = std::move(log); }
  void send(const Path& path, std::span<const uint8_t> datagram);
  void install_rx(const session::RxInstall& install);
  void retire_rx(ReceiverIndex index);
  void install_tx(const session::TxInstall& install);
  void settle_hold(std::span<const LaneReport> reports);
  void withdraw_tx(PeerId peer);
  session::Activity activity(PeerId peer) override;
  session::RxProgress rx_progress(ReceiverIndex index) override;
  session::Published published(PeerId peer) override;
  uint16_t inner_mtu(const Path& path) override;
  std::optional<LaneReport> stop_data(ReceiverIndex index) override {
    return parts_.data_path.stop_data(index);
  }
  void configured(PeerId peer, const wire::ResponsePayload& answer);
  void emit(const session::Event& event);
  void random(std::span<uint8_t> bytes) override;
  wire::Timestamp timestamp() override;

  /// Set once the host's network could not be configured; the client can't go on.
  const std::optional<Error>& failure() const { return failure_; }
  /// Why the gateway refused the latest request to jump, since this was last called; nullopt: it
  /// refused none.
  std::optional<session::Event> take_refusal() { return std::exchange(refusal_, std::nullopt); }
  /// The gateway's addresses have changed.
  void set_endpoints(std::vector<Endpoint> endpoints) { options_.endpoints = std::move(endpoints); }
  /// The paths that the session may take now: the tunnel's MTU is what all of them take, so that a
  /// jump leaves connections as they are.
  void set_candidates(std::vector<Path> paths);
  /// Lowers the tunnel's MTU to what these paths and the active one take now. Underlays that
  /// come and go don't raise it, or connections would follow each; a larger size that the session
  /// proves over the path in use does (install_tx()). Where it can't follow, because of IPv6, the
  /// routes' MTU does.
  void refresh_mtu();

 private:
  uint16_t inner_mtu_of(const Path& path) const;
  uint16_t smallest_mtu() const;
  uint16_t smallest_device_mtu() const;
  uint16_t floor() const;
  uint16_t tunnel_mtu() const;

  ClientParts parts_;
  Options options_;
  events::EventLog& events_;
  std::unique_ptr<jvpn::admin::KeyLog> key_log_;  ///< null: keys are logged nowhere
  std::vector<Path> candidates_;
  uint16_t peer_mtu_ = 0;  ///< as the gateway told; 0: not told
  std::optional<Error> failure_;
  std::optional<session::Event> refusal_;
};

}  // namespace jvpn::client::control
