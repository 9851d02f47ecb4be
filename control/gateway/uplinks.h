// The gateway's outside ports as paths: which of them have a link, and by which of them a peer's
// endpoints can be reached. A port that loses its link is left at once by every session on it;
// peers with endpoints are dialled over whatever there is. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/dataplane_view.h"
#include "common/profile.h"
#include "control/engine/engine.h"
#include "control/gateway/gateway_host.h"
#include "control/gateway/peer_book.h"

namespace jvpn::gateway {

class Uplinks {
 public:
  /// Everything passed outlives it.
  Uplinks(const DataplaneView& view, const GatewayHost& host, const PeerBook& peers,
          uint16_t listen_port);

  /// Looks at the links, every few milliseconds; the first call dials the peers with endpoints.
  void poll(Millis now, engine::SessionEngine& engine);
  /// A peer is new, or its endpoints have changed: it is dialled, over others, or no more.
  void peer_changed(Millis now, PeerId id, engine::SessionEngine& engine);
  void peer_removed(PeerId id);

 private:
  std::vector<Path> paths_to(const PeerProfile& peer) const;
  void announce_paths_to(Millis now, PeerId id, engine::SessionEngine& engine);
  void announce_paths(Millis now, engine::SessionEngine& engine);

  const DataplaneView& view_;
  const GatewayHost& host_;
  const PeerBook& peers_;
  uint16_t listen_port_;
  std::vector<bool> up_;                ///< by port number
  std::vector<bool> dialled_;           ///< by peer; grows with their ids
  std::optional<uint32_t> announcing_;  ///< peer whose paths are told next
  std::vector<uint16_t> lost_;          ///< ports, to be told after that
  bool started_ = false;
  Millis next_look_;
};

}  // namespace jvpn::gateway
