#include "tools/client/underlays/link_watch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "tools/shared/netlink/netlink_attributes.h"

namespace jvpn::client::underlays {
namespace {

constexpr unsigned kGroups =
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

}  // namespace

LinkWatch::LinkWatch(netlink::Socket socket, std::vector<std::string> devices)
    : socket_(std::move(socket)), devices_(std::move(devices)) {}

Result<std::unique_ptr<LinkWatch>> LinkWatch::open(std::vector<std::string> devices) {
  auto socket = netlink::subscribe(kGroups, "cannot watch links, addresses and routes");
  if (!socket) return socket.error();
  std::unique_ptr<LinkWatch> watch(new LinkWatch(*std::move(socket), std::move(devices)));
  watch->find_devices();
  return watch;
}

void LinkWatch::find_devices() {
  indices_.clear();
  for (const std::string& device : devices_)
    if (const unsigned index = ::if_nametoindex(device.c_str()); index != 0)
      indices_.insert(static_cast<int>(index));
}

int LinkWatch::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

bool LinkWatch::take() {
  return netlink::take_announcements(
      socket_.get(), [this](const nlmsghdr* message) { return concerns(message); },
      [this] { find_devices(); });
}

bool LinkWatch::concerns(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return link_concerns(message);
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
      return indices_.contains(static_cast<int>(header->ifa_index));
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return route_concerns(message);
    default:
      return false;
  }
}

// Keeps indices_: a device that is renamed comes or goes for us.
bool LinkWatch::link_concerns(const nlmsghdr* message) {
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  if (header->ifi_family != AF_UNSPEC) return false;  // a bridge's view of its port
  std::string_view name;
  netlink::for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
      name = mnl_attr_get_str(attribute);
  });
  const bool known = indices_.contains(header->ifi_index);
  const bool ours = std::find(devices_.begin(), devices_.end(), name) != devices_.end();
  if (ours && message->nlmsg_type == RTM_NEWLINK)
    indices_.insert(header->ifi_index);
  else
    indices_.erase(header->ifi_index);
  return known || ours;
}

// A route without one device of its own (several next hops, unreachable) may concern any.
bool LinkWatch::route_concerns(const nlmsghdr* message) const {
  bool concerns = true;
  netlink::for_each_attribute(message, sizeof(rtmsg), [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == RTA_OIF)
      concerns = indices_.contains(static_cast<int>(mnl_attr_get_u32(attribute)));
  });
  return concerns;
}

}  // namespace jvpn::client::underlays
