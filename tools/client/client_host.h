// The engine's host on a client: its keys go to the data path, its packets to the underlays, its
// configuration to the tunnel interface, its events to the log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <spdlog/fwd.h>

#include "common/result.h"
#include "control/session_host.h"
#include "tools/client/data_path.h"
#include "tools/client/tunnel_interface.h"
#include "tools/client/underlay.h"

namespace jvpn {

/// What the host works on; all of it outlives the host.
struct ClientParts {
  DataPath& data_path;
  TunnelInterface& tunnel;
  std::vector<Underlay>& underlays;
};

class ClientHost : public SessionHost {
 public:
  struct Options {
    std::string node;
    std::optional<uint16_t> mtu;      ///< the profile's bound
    std::vector<Endpoint> endpoints;  ///< every path's MTU bounds the tunnel's
  };
  /// `events`: takes one JSON line each.
  ClientHost(ClientParts parts, Options options, std::shared_ptr<spdlog::logger> events);

  void send(const Path& path, std::span<const uint8_t> datagram) override;
  void install_rx(const RxInstall& install) override;
  void retire_rx(ReceiverIndex index) override;
  void install_tx(const TxInstall& install) override;
  void withdraw_tx(PeerId peer) override;
  Activity activity(PeerId peer) override;
  uint16_t inner_mtu(const Path& path) override;
  void configured(PeerId peer, const wire::ResponsePayload& answer) override;
  void emit(const Event& event) override;
  void random(std::span<uint8_t> bytes) override;
  wire::Timestamp timestamp() override;

  /// Set once the host's network could not be configured; the client can't go on.
  const std::optional<Error>& failure() const { return failure_; }
  /// Lowers the tunnel's MTU to what the active path takes now.
  void refresh_mtu();

 private:
  uint16_t smallest_path_mtu() const;
  uint16_t tunnel_mtu() const;

  ClientParts parts_;
  Options options_;
  std::shared_ptr<spdlog::logger> events_;
  uint64_t event_sequence_ = 0;
  uint16_t peer_mtu_ = 0;  ///< as the gateway told; 0: not told
  std::optional<Error> failure_;
};

}  // namespace jvpn
