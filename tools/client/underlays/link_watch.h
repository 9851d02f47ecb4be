// Tells when links, addresses or routes of the host change (rtnetlink(7), its multicast groups), so
// that a path that is gone is left at once and one that comes back is taken up again.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/result.h"
#include "tools/shared/netlink/announcements.h"

namespace jvpn::client::underlays {

/// One subscription, for a set of devices. It says that something changed, never what: whoever asks
/// looks at the host itself, so that nothing is believed that has changed again since. One thread.
class LinkWatch {
 public:
  /// `devices`: by name; they may come and go. No change after open() is missed.
  static Result<std::unique_ptr<LinkWatch>> open(std::vector<std::string> devices);

  /// Readable while take() has something.
  int fd() const;
  /// Takes all announcements, without blocking. True: one concerned a watched device (it came,
  /// went, was renamed, went up or down, got or lost its carrier, an address or a route), or some
  /// were lost.
  bool take();

 private:
  LinkWatch(netlink::Socket socket, std::vector<std::string> devices);
  void find_devices();
  bool concerns(const nlmsghdr* message);
  bool link_concerns(const nlmsghdr* message);
  bool route_concerns(const nlmsghdr* message) const;

  netlink::Socket socket_;
  std::vector<std::string> devices_;
  std::set<int> indices_;  ///< of the devices that are there
};

}  // namespace jvpn::client::underlays
