#include "tools/client/tunnel/guard_watch.h"

#include <algorithm>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "tools/shared/netlink/netlink_attributes.h"
#include "tools/shared/netlink/request.h"

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

/// Of many routes on a router none may concern us: whoever looks further reads the whole table.
bool others_changed(const nlmsghdr* message, std::span<const netlink::Route> guards) {
  if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE) return false;
  const auto route = netlink::other_route(message);
  return route && std::any_of(guards.begin(), guards.end(), [&](const netlink::Route& guard) {
           return guard.table == route->table && guard.to == route->to;
         });
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

GuardNews GuardWatch::take(std::span<const netlink::Route> guards) {
  GuardNews news;
  const auto concerns = [&](const nlmsghdr* message) {
    news.ours_went |= ours_went(message);
    news.others_changed |= others_changed(message, guards);
    return news.ours_went || news.others_changed;
  };
  bool lost = false;
  const bool any = netlink::take_announcements(socket_.get(), concerns, [&] { lost = true; });
  const bool unread = any && !news.ours_went && !news.others_changed;
  return lost || unread ? GuardNews{true, true} : news;
}

}  // namespace jvpn::client::tunnel
