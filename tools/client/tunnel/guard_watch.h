// Tells when somebody takes guards, rules or routes of ours away (rtnetlink(7), its multicast
// groups): systemd-networkd, NetworkManager and scripts do.
#pragma once

#include <memory>
#include <utility>

#include "common/result.h"
#include "tools/client/netlink/announcements.h"

namespace jvpn::client::tunnel {

/// One subscription. It says that something went, never what. One thread.
class GuardWatch {
 public:
  static Result<std::unique_ptr<GuardWatch>> open();

  /// Readable while take() has something.
  int fd() const;
  /// Takes all announcements, without blocking. True: a rule or route that carries our protocol
  /// number was removed, or some announcements were lost.
  bool take();

 private:
  explicit GuardWatch(netlink::Socket socket) : socket_(std::move(socket)) {}
  netlink::Socket socket_;
};

}  // namespace jvpn::client::tunnel
