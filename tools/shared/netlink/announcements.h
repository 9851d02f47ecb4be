// What the kernel announces to a netlink socket's multicast groups (rtnetlink(7)). One thread.
#pragma once

#include <algorithm>
#include <cerrno>
#include <memory>

#include <libmnl/libmnl.h>

#include "common/result.h"
#include "tools/shared/netlink/netlink.h"
#include "tools/shared/netlink/netlink_attributes.h"

namespace jvpn::netlink {

using Socket = std::unique_ptr<mnl_socket, CloseSocket>;

/// A socket that never blocks and hears of `groups`. An Error says `refused` and the cause.
inline Result<Socket> subscribe(unsigned groups, const char* refused) {
  Socket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket == nullptr) return netlink_error("cannot open a socket");
  if (mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) != 0) return netlink_error(refused);
  return socket;
}

/// Takes all that is there. True: `concerns` said so of a message, or some were lost, which `lost`
/// is told, or the socket can't be read now and will be again.
template <typename Concerns, typename Lost>
bool take_announcements(mnl_socket* socket, Concerns concerns, Lost lost) {
  bool any = false;
  alignas(nlmsghdr) uint8_t buffer[kNetlinkBuffer];
  for (;;) {
    const ssize_t bytes = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return any;
    if (bytes < 0 && errno != ENOBUFS && errno != ENOSPC) return true;  // the next wake tries again
    if (bytes < 0) {
      lost();
      any = true;
    }
    int left = static_cast<int>(std::max<ssize_t>(bytes, 0));
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer);
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
      any = concerns(message) || any;
  }
}

}  // namespace jvpn::netlink
