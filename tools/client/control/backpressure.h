// Stops reading the TUN while a socket is full, or what waits in the hold would have to give way,
// and decides how long sealed packets wait for a socket.
#pragma once

#include <algorithm>
#include <optional>

#include "common/path.h"
#include "common/types.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/control/socket_watch.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/dataplane/outbound.h"

namespace jvpn::client::control {

/// The TUN's descriptor in the event loop.
struct TunWatch {
  int descriptor = -1;
  uint64_t tag = 0;
};

class Backpressure {
 public:
  /// All of it outlives this object.
  Backpressure(EventLoop& loop, TunWatch tun, SocketWatch& sockets, dataplane::Outbound& outbound,
               const dataplane::DataPath& data_path)
      : loop_(loop), tun_(tun), sockets_(sockets), outbound_(outbound), data_path_(data_path) {}

  /// When packets that wait for an abandoned path are dropped, or more of those held are sent.
  Millis due() const { return std::min(abandon_at_, outbound_.release_due()); }
  /// Call it after everything that may have sent packets or changed the session's path.
  void follow(Millis now);

 private:
  void leave_old_path(Millis now);

  EventLoop& loop_;
  TunWatch tun_;
  SocketWatch& sockets_;
  dataplane::Outbound& outbound_;
  const dataplane::DataPath& data_path_;
  std::optional<Path> full_;  ///< its socket is full, so the TUN isn't read
  bool reads_ = true;         ///< the TUN
  Millis abandon_at_ = kNever;
};

}  // namespace jvpn::client::control
