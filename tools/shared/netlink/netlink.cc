#include "tools/shared/netlink/netlink.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include "tools/shared/netlink/netlink_attributes.h"
#include "tools/shared/netlink/request.h"

namespace jvpn::netlink {
namespace {

// The kernel's words behind an error (NLMSGERR_ATTR_MSG), empty when it gave none.
std::string extended_text(const nlmsghdr* answer) {
  if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS)) return {};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(answer));
  size_t offset = sizeof(nlmsgerr);
  if (!(answer->nlmsg_flags & NLM_F_CAPPED)) offset += error->msg.nlmsg_len - sizeof(nlmsghdr);
  std::string text;
  for_each_attribute(answer, offset, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
      text = mnl_attr_get_str(attribute);
  });
  return text;
}

Request address_request(uint16_t type, int flags, int device, const Prefix& address) {
  Request request(type, flags);
  auto& header = request.extra<ifaddrmsg>();
  header.ifa_family = kernel_family(address.address.family);
  header.ifa_prefixlen = address.length;
  header.ifa_index = static_cast<uint32_t>(device);
  request.put(IFA_LOCAL, address.address);
  request.put(IFA_ADDRESS, address.address);
  // No duplicate address detection: nobody else is on the link, and it would delay IPv6 by seconds.
  request.put(IFA_FLAGS, uint32_t{IFA_F_NOPREFIXROUTE | IFA_F_NODAD});
  return request;
}

Request route_request(uint16_t type, int flags, const Route& route, uint8_t protocol) {
  Request request(type, flags);
  auto& header = request.extra<rtmsg>();
  header.rtm_family = kernel_family(route.to.address.family);
  header.rtm_dst_len = route.to.length;
  header.rtm_table = RT_TABLE_UNSPEC;  // in RTA_TABLE
  header.rtm_protocol = protocol;
  const bool leads = route.device != 0;
  header.rtm_scope = leads && route.to.address.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.rtm_type = leads ? RTN_UNICAST : RTN_UNREACHABLE;
  request.put(RTA_TABLE, route.table);
  request.put(RTA_DST, route.to.address);
  if (leads) request.put(RTA_OIF, static_cast<uint32_t>(route.device));
  if (route.metric != 0) request.put(RTA_PRIORITY, route.metric);
  if (route.mtu != 0) {
    const uint32_t headers = route.to.address.is_v4() ? 40 : 60;  // IP and TCP
    nlattr* const metrics = request.begin_nest(RTA_METRICS);
    request.put(RTAX_MTU, route.mtu);
    request.put(RTAX_ADVMSS, route.mtu - headers);
    request.end_nest(metrics);
  }
  return request;
}

Request rule_request(uint16_t type, int flags, const Rule& rule, uint8_t protocol) {
  Request request(type, flags);
  auto& header = request.extra<fib_rule_hdr>();
  header.family = kernel_family(rule.family);
  header.action = FR_ACT_TO_TBL;
  header.table = RT_TABLE_UNSPEC;  // in FRA_TABLE
  request.put(FRA_PRIORITY, rule.priority);
  request.put(FRA_TABLE, rule.table);
  request.put_bytes(FRA_PROTOCOL, &protocol, 1);
  if (rule.not_mark) {
    header.flags |= FIB_RULE_INVERT;
    request.put(FRA_FWMARK, *rule.not_mark);
    request.put(FRA_FWMASK, UINT32_MAX);
  }
  if (rule.suppress_up_to) request.put(FRA_SUPPRESS_PREFIXLEN, uint32_t{*rule.suppress_up_to});
  if (rule.udp_to) {
    const uint8_t udp = IPPROTO_UDP;
    const fib_rule_port_range port{rule.udp_to->port, rule.udp_to->port};
    header.dst_len = rule.udp_to->address.bits();
    request.put(FRA_DST, rule.udp_to->address);
    request.put_bytes(FRA_IP_PROTO, &udp, 1);
    request.put_bytes(FRA_DPORT_RANGE, &port, sizeof port);
  }
  return request;
}

std::string describe(const Rule& rule) {
  return "rule of priority " + std::to_string(rule.priority) + " to table " +
         std::to_string(rule.table);
}

// Reads one of our own rules back. nullopt: somebody else's.
std::optional<Rule> parse_rule(const nlmsghdr* message, uint8_t protocol) {
  const auto* header = static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(message));
  Rule rule;
  rule.family = header->family == AF_INET6 ? Family::kIpv6 : Family::kIpv4;
  bool ours = false;
  for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    const void* data = mnl_attr_get_payload(attribute);
    const size_t bytes = mnl_attr_get_payload_len(attribute);
    switch (mnl_attr_get_type(attribute)) {
      case FRA_PROTOCOL:
        ours = bytes == 1 && *static_cast<const uint8_t*>(data) == protocol;
        break;
      case FRA_PRIORITY:
        rule.priority = mnl_attr_get_u32(attribute);
        break;
      case FRA_TABLE:
        rule.table = mnl_attr_get_u32(attribute);
        break;
      case FRA_FWMARK:
        rule.not_mark = mnl_attr_get_u32(attribute);
        break;
      case FRA_SUPPRESS_PREFIXLEN:
        if (mnl_attr_get_u32(attribute) != UINT32_MAX)
          rule.suppress_up_to = static_cast<uint8_t>(mnl_attr_get_u32(attribute));
        break;
      case FRA_DST:
        if (!rule.udp_to) rule.udp_to.emplace();
        rule.udp_to->address.family = rule.family;
        if (bytes <= 16) std::memcpy(rule.udp_to->address.bytes.data(), data, bytes);
        break;
      case FRA_DPORT_RANGE:
        if (!rule.udp_to) rule.udp_to.emplace();
        rule.udp_to->port = static_cast<const fib_rule_port_range*>(data)->start;
        break;
      default:
        break;
    }
  });
  return ours ? std::optional(rule) : std::nullopt;
}

// Reads a route of ours or of everybody else's. nullopt: not one of those.
std::optional<Route> parse_route(const nlmsghdr* message, uint8_t protocol, bool ours) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  if ((header->rtm_protocol == protocol) != ours) return std::nullopt;
  if (!ours && header->rtm_type != RTN_UNICAST) return std::nullopt;
  Route route;
  route.to.address.family = header->rtm_family == AF_INET6 ? Family::kIpv6 : Family::kIpv4;
  route.to.length = header->rtm_dst_len;
  route.table = header->rtm_table;
  for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case RTA_TABLE:
        route.table = mnl_attr_get_u32(attribute);
        break;
      case RTA_DST:
        if (mnl_attr_get_payload_len(attribute) == route.to.address.size())
          std::memcpy(route.to.address.bytes.data(), mnl_attr_get_payload(attribute),
                      route.to.address.size());
        break;
      case RTA_PRIORITY:
        route.metric = mnl_attr_get_u32(attribute);
        break;
      case RTA_OIF:  // an unreachable IPv6 route names the loopback device
        if (header->rtm_type == RTN_UNICAST)
          route.device = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      default:
        break;
    }
  });
  return route;
}

// Both rtmsg and fib_rule_hdr begin with their family. A dump for a family that the kernel doesn't
// have brings those of all others.
bool is_of(const nlmsghdr* message, uint8_t family) {
  return *static_cast<const uint8_t*>(mnl_nlmsg_get_payload(message)) == family;
}

uint32_t route_table_of(const nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  uint32_t table = header->rtm_table;
  for_each_attribute(message, sizeof *header, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == RTA_TABLE) table = mnl_attr_get_u32(attribute);
  });
  return table;
}

}  // namespace

std::optional<Route> other_route(const nlmsghdr* message) {
  return parse_route(message, kOurProtocol, false);
}

void CloseSocket::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

Result<std::unique_ptr<Netlink>> Netlink::open(uint8_t protocol) {
  mnl_socket* const socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (socket == nullptr) return netlink_error("cannot open a socket");
  std::unique_ptr<Netlink> netlink(new Netlink(socket, protocol));
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) return netlink_error("cannot bind");
  int on = 1;
  mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof on);  // without it: errno's text alone
  mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof on);
  mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on,
                        sizeof on);  // dumps of one table alone
  return netlink;
}

Result<void> Netlink::send(nlmsghdr* message, int flags, const std::string& what) {
  message->nlmsg_flags |= static_cast<uint16_t>(flags);
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) return netlink_error(what);
  return {};
}

/// The kernel's next messages: their bytes, or -1 with errno.
ssize_t Netlink::receive(std::span<uint8_t> buffer) {
  ssize_t bytes = 0;
  do {
    bytes = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
  } while (bytes < 0 && errno == EINTR);
  return bytes;
}

Result<void> Netlink::talk(nlmsghdr* message, const std::string& what,
                           std::initializer_list<int> fine) {
  if (auto sent = send(message, NLM_F_ACK, what); !sent) return sent;
  alignas(nlmsghdr) uint8_t buffer[kNetlinkBuffer];
  for (;;) {
    const ssize_t bytes = receive(buffer);
    if (bytes < static_cast<ssize_t>(sizeof(nlmsghdr))) return netlink_error(what);
    const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer);
    if (answer->nlmsg_seq != sequence_ || answer->nlmsg_type != NLMSG_ERROR) continue;
    const int code = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(answer))->error;
    if (code == 0 || std::find(fine.begin(), fine.end(), code) != fine.end()) return {};
    const std::string text = extended_text(answer);
    return Error{what + ": " + std::strerror(code) + (text.empty() ? "" : " (" + text + ")")};
  }
}

template <typename Visit>
Result<void> Netlink::dump(nlmsghdr* message, const char* what, Visit visit) {
  if (auto sent = send(message, NLM_F_DUMP, what); !sent) return sent;
  alignas(nlmsghdr) uint8_t buffer[kNetlinkBuffer];
  for (;;) {
    const ssize_t bytes = receive(buffer);
    if (bytes < 0) return netlink_error(what);
    int left = static_cast<int>(bytes);
    for (const auto* part = reinterpret_cast<const nlmsghdr*>(buffer); mnl_nlmsg_ok(part, left);
         part = mnl_nlmsg_next(part, &left)) {
      if (part->nlmsg_seq != sequence_) continue;
      if (part->nlmsg_type == NLMSG_DONE) return {};
      if (part->nlmsg_type == NLMSG_ERROR) {
        errno = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(part))->error;
        return netlink_error(what);
      }
      visit(part);
    }
  }
}

Result<void> Netlink::set_link(int device, bool up, std::optional<uint16_t> mtu) {
  Request request(RTM_NEWLINK, 0);
  auto& header = request.extra<ifinfomsg>();
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = device;
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? unsigned{IFF_UP} : 0U;
  if (mtu) request.put(IFLA_MTU, uint32_t{*mtu});
  return talk(request.message(), "device " + std::to_string(device));
}

Result<void> Netlink::no_generated_address(int device) {
  Request request(RTM_NEWLINK, 0);
  auto& header = request.extra<ifinfomsg>();
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = device;
  const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
  nlattr* const families = request.begin_nest(IFLA_AF_SPEC);
  nlattr* const ipv6 = request.begin_nest(AF_INET6);
  request.put_bytes(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
  request.end_nest(ipv6);
  request.end_nest(families);
  return talk(request.message(), "device " + std::to_string(device));
}

Result<void> Netlink::add_address(int device, const Prefix& address) {
  Request request = address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, device, address);
  return talk(request.message(), "address " + to_string(address));
}

Result<void> Netlink::remove_address(int device, const Prefix& address) {
  Request request = address_request(RTM_DELADDR, 0, device, address);
  return talk(request.message(), "address " + to_string(address), {EADDRNOTAVAIL});
}

Result<void> Netlink::add_route(const Route& route) {
  Request request = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route, protocol_);
  return talk(request.message(), "route " + to_string(route.to));
}

Result<void> Netlink::replace_route(const Route& route) {
  Request request = route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route, protocol_);
  return talk(request.message(), "route " + to_string(route.to));
}

Result<void> Netlink::remove_route(const Route& route) {
  Request request = route_request(RTM_DELROUTE, 0, route, protocol_);
  return talk(request.message(), "route " + to_string(route.to), {ESRCH, ENOENT});
}

Result<void> Netlink::find_route(int device, const Endpoint& to, std::optional<uint32_t> mark) {
  Request request(RTM_GETROUTE, 0);
  auto& header = request.extra<rtmsg>();
  header.rtm_family = kernel_family(to.address.family);
  header.rtm_dst_len = to.address.bits();
  header.rtm_flags = RTM_F_FIB_MATCH;
  const uint8_t udp = IPPROTO_UDP;
  const uint16_t port = htons(to.port);
  request.put(RTA_DST, to.address);
  request.put(RTA_OIF, static_cast<uint32_t>(device));
  if (mark) request.put(RTA_MARK, *mark);
  request.put_bytes(RTA_IP_PROTO, &udp, sizeof udp);
  request.put_bytes(RTA_DPORT, &port, sizeof port);
  return talk(request.message(), "no route to " + to_string(to));
}

Result<void> Netlink::add_rule(const Rule& rule) {
  Request request = rule_request(RTM_NEWRULE, NLM_F_CREATE, rule, protocol_);
  return talk(request.message(), describe(rule));
}

Result<void> Netlink::remove_rule(const Rule& rule) {
  Request request = rule_request(RTM_DELRULE, 0, rule, protocol_);
  return talk(request.message(), describe(rule), {ESRCH, ENOENT});
}

Result<std::vector<Rule>> Netlink::our_rules() {
  std::vector<Rule> rules;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    Request request(RTM_GETRULE, 0);
    request.extra<fib_rule_hdr>().family = family;
    const auto done = dump(request.message(), "rules", [&](const nlmsghdr* message) {
      if (!is_of(message, family)) return;
      if (const auto rule = parse_rule(message, protocol_)) rules.push_back(*rule);
    });
    if (!done && errno != EAFNOSUPPORT) return done.error();
  }
  return rules;
}

Result<std::vector<Route>> Netlink::routes(bool ours, uint32_t table) {
  std::vector<Route> routes;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    Request request(RTM_GETROUTE, 0);
    request.extra<rtmsg>().rtm_family = family;
    if (table != 0) request.put(RTA_TABLE, table);
    const auto done = dump(request.message(), "routes", [&](const nlmsghdr* message) {
      if (!is_of(message, family)) return;
      const auto route = parse_route(message, protocol_, ours);
      if (route && (table == 0 || route->table == table)) routes.push_back(*route);
    });
    if (!done && (table == 0 || errno != ENOENT)) return done.error();  // no such table: no routes
  }
  return routes;
}

Result<bool> Netlink::table_has_routes(uint32_t table) {
  bool found = false;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    Request request(RTM_GETROUTE, 0);
    request.extra<rtmsg>().rtm_family = family;
    request.put(RTA_TABLE, table);
    const auto done = dump(request.message(), "routes", [&](const nlmsghdr* message) {
      found = found || (is_of(message, family) && route_table_of(message) == table);
    });
    if (!done && errno != ENOENT)
      return done.error();  // the kernel makes tables when they are used
  }
  return found;
}

}  // namespace jvpn::netlink
