#include "tools/client/tunnel/guard_watch.h"

#include <algorithm>
#include <cerrno>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "tools/client/netlink/netlink_attributes.h"
#include "tools/client/netlink/request.h"

namespace jvpn::client::tunnel {
namespace {

constexpr unsigned kIpv6Rules = 1U << (RTNLGRP_IPV6_RULE - 1);
constexpr unsigned kRulesAndRoutes =
    RTMGRP_IPV4_RULE | kIpv6Rules | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

bool ours_went(const nlmsghdr* message) {
  if (message->nlmsg_type == RTM_DELROUTE)
    return static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message))->rtm_protocol ==
           netlink::kOurProtocol;
  bool ours = false;
  if (message->nlmsg_type != RTM_DELRULE) return ours;
  netlink::for_each_attribute(message, sizeof(fib_rule_hdr), [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == FRA_PROTOCOL)
      ours = mnl_attr_get_u8(attribute) == netlink::kOurProtocol;
  });
  return ours;
}

}  // namespace

Result<std::unique_ptr<GuardWatch>> GuardWatch::open() {
  mnl_socket* const socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == nullptr) return netlink::netlink_error("cannot open a socket");
  std::unique_ptr<GuardWatch> watch(new GuardWatch(socket));
  if (mnl_socket_bind(socket, kRulesAndRoutes, MNL_SOCKET_AUTOPID) != 0)
    return netlink::netlink_error("cannot watch rules and routes");
  return watch;
}

int GuardWatch::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

bool GuardWatch::take() {
  bool went = false;
  alignas(nlmsghdr) uint8_t buffer[netlink::kNetlinkBuffer];
  for (;;) {
    const ssize_t bytes = mnl_socket_recvfrom(socket_.get(), buffer, sizeof buffer);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return went;
    if (bytes < 0 && errno != ENOBUFS && errno != ENOSPC) return true;  // the next wake tries again
    if (bytes < 0) went = true;  // what was lost may concern us
    int left = static_cast<int>(std::max<ssize_t>(bytes, 0));
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer);
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
      went = ours_went(message) || went;
  }
}

}  // namespace jvpn::client::tunnel
