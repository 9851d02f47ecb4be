// A netlink request under construction.
#pragma once

#include <cstddef>
#include <cstdint>

#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include "common/ip.h"

namespace jvpn::netlink {

inline uint8_t kernel_family(Family family) {
  return family == Family::kIpv6 ? AF_INET6 : AF_INET;
}

/// A request under construction.
class Request {
 public:
  Request(uint16_t type, int flags) {
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer_);
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  }
  template <typename T>
  T& extra() {
    return *static_cast<T*>(mnl_nlmsg_put_extra_header(message(), sizeof(T)));
  }
  void put(uint16_t type, uint32_t value) { mnl_attr_put_u32(message(), type, value); }
  void put_bytes(uint16_t type, const void* data, size_t bytes) {
    mnl_attr_put(message(), type, bytes, data);
  }
  void put(uint16_t type, const IpAddress& address) {
    put_bytes(type, address.bytes.data(), address.size());
  }
  nlattr* begin_nest(uint16_t type) { return mnl_attr_nest_start(message(), type); }
  void end_nest(nlattr* nest) { mnl_attr_nest_end(message(), nest); }
  nlmsghdr* message() { return reinterpret_cast<nlmsghdr*>(buffer_); }

 private:
  alignas(nlmsghdr) uint8_t buffer_[1024];
};

}  // namespace jvpn::netlink
