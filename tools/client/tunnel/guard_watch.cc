#include "tools/client/tunnel/guard_watch.h"

#include <utility>

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
  auto socket = netlink::subscribe(kRulesAndRoutes, "cannot watch rules and routes");
  if (!socket) return socket.error();
  return std::unique_ptr<GuardWatch>(new GuardWatch(*std::move(socket)));
}

int GuardWatch::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

bool GuardWatch::take() {
  return netlink::take_announcements(socket_.get(), ours_went, [] {});
}

}  // namespace jvpn::client::tunnel
