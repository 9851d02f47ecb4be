// ICMP (RFC 792, RFC 1191) and ICMPv6 (RFC 4443) as far as a router speaks it: echo replies and
// errors. Pure functions over bytes that begin at the IP header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/ip.h"
#include "control/neighbor/packet_writer.h"

namespace jvpn::neighbor {

/// The parts of a sound IP packet without extension headers.
struct IpView {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  size_t header_bytes = 0;
  size_t total_bytes = 0;  ///< as the header says; ≤ what there is
  bool dont_fragment = true;
  bool fragment = false;        ///< part of a fragmented packet
  bool later_fragment = false;  ///< not its first part
};
/// nullopt: lengths, version or (IPv4) header checksum are wrong.
std::optional<IpView> view_ip(std::span<const uint8_t> packet);

enum class IcmpError : uint8_t {
  kTooBig,           ///< fragmentation needed, or packet too big; with the MTU
  kTimeExceeded,     ///< in transit
  kNetUnreachable,   ///< no route
  kHostUnreachable,  ///< neighbour doesn't answer
  kPortUnreachable,
};

/// Largest ICMP error, by family: RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c).
inline constexpr size_t kMaxIcmpError = 576;
inline constexpr size_t kMaxIcmpv6Error = 1'280;

/// False for what no error may answer (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)): other errors, group or
/// missing addresses, later fragments.
bool may_answer_with_error(const IpView& view, std::span<const uint8_t> packet);

/// Length of an error about `view`'s packet: with as much of it as fits.
size_t icmp_error_bytes(const IpView& view);
/// Writes the error from `source` to the offender's source. `out` is icmp_error_bytes() long.
void write_icmp_error(std::span<uint8_t> out, IcmpError error, const IpAddress& source,
                      const IpView& view, std::span<const uint8_t> offender, uint16_t mtu);

/// True for an unfragmented echo request with a right checksum.
bool is_echo_request(const IpView& view, std::span<const uint8_t> packet);
/// Turns an echo request into its reply, in place: addresses swapped, fresh TTL, checksums redone.
void make_echo_reply(const IpView& view, std::span<uint8_t> packet);

}  // namespace jvpn::neighbor
