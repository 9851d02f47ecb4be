// What every user of netlink(7) here needs: a walk over attributes, a buffer, an error.
#pragma once

#include <cstddef>
#include <string>

#include <libmnl/libmnl.h>

#include "common/result.h"

namespace jvpn::netlink {

/// Holds any one message of the kernel's.
inline constexpr size_t kNetlinkBuffer = 32'768;

inline Error netlink_error(const std::string& what) {
  return errno_error("netlink: " + what);
}

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

}  // namespace jvpn::netlink
