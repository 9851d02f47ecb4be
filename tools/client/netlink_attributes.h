// Walks the attributes of a netlink message (netlink(7)), as what receives them needs it.
#pragma once

#include <cstddef>

#include <libmnl/libmnl.h>

namespace jvpn {

/// Calls `visit` with each attribute behind a message's first `offset` payload bytes.
template <typename Visit>
void for_each_attribute(const nlmsghdr* message, size_t offset, Visit visit) {
  const auto* at = static_cast<const char*>(mnl_nlmsg_get_payload(message)) + MNL_ALIGN(offset);
  const auto* const end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  const auto* attribute = reinterpret_cast<const nlattr*>(at);
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    visit(attribute);
    attribute = mnl_attr_next(attribute);
  }
}

}  // namespace jvpn
