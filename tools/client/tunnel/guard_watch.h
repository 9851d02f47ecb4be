// Tells when somebody takes guards, rules or routes of ours away, or sets a route that may go
// before a guard (rtnetlink(7), its multicast groups): systemd-networkd, NetworkManager and scripts
// do.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "common/result.h"
#include "tools/shared/netlink/announcements.h"

namespace jvpn::client::tunnel {

/// What has happened; when announcements were lost, all of it may have.
struct GuardNews {
  bool ours_went = false;       ///< a rule or route that carries our protocol number
  bool others_changed = false;  ///< somebody else's route to a guard's prefix came or went
};

/// One subscription. It says that something went or came, never what. One thread.
class GuardWatch {
 public:
  static Result<std::unique_ptr<GuardWatch>> open();

  /// Readable while take() has something.
  int fd() const;
  /// Takes all announcements, without blocking.
  GuardNews take(std::span<const netlink::Route> guards);

 private:
  explicit GuardWatch(netlink::Socket socket) : socket_(std::move(socket)) {}
  netlink::Socket socket_;
};

}  // namespace jvpn::client::tunnel
