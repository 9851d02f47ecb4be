// IP addresses, endpoints and prefixes as values, with their text both ways.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace jvpn {

enum class Family : uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

/// An IPv4 or IPv6 address in network byte order. IPv4 fills the first 4 bytes, the rest are zero.
struct IpAddress {
  Family family = Family::kNone;
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const IpAddress&) const = default;
  bool is_v4() const { return family == Family::kIpv4; }
  bool is_v6() const { return family == Family::kIpv6; }
  /// Length in bits: 32, 128, or 0 for no address.
  uint8_t bits() const { return is_v4() ? 32 : is_v6() ? 128 : 0; }
  size_t size() const { return bits() / 8U; }

  static IpAddress v4(std::array<uint8_t, 4> b);
  static IpAddress v6(std::array<uint8_t, 16> b);
  /// From 4 or 16 bytes in network order.
  static IpAddress read(Family family, const uint8_t* at) {
    IpAddress address{family, {}};
    if (family == Family::kIpv4) __builtin_memcpy(address.bytes.data(), at, 4);
    if (family == Family::kIpv6) __builtin_memcpy(address.bytes.data(), at, 16);
    return address;
  }
  /// nullopt when `text` is no address of either family.
  static std::optional<IpAddress> parse(std::string_view text);
};
std::string to_string(const IpAddress& address);

/// UDP endpoint; `port` in host byte order.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  auto operator<=>(const Endpoint&) const = default;
  /// `192.0.2.1:51900` or `[2001:db8::1]:51900`.
  static std::optional<Endpoint> parse(std::string_view text);
};
std::string to_string(const Endpoint& endpoint);

/// Address and length. As a network its host bits are zero; as an interface address they are not.
struct Prefix {
  IpAddress address;
  uint8_t length = 0;

  auto operator<=>(const Prefix&) const = default;
  bool contains(const IpAddress& other) const;
  bool is_host() const { return length == address.bits(); }
  /// The same prefix with its host bits cleared.
  Prefix network() const;
  /// `10.0.0.0/8`; a bare address means its full length.
  static std::optional<Prefix> parse(std::string_view text);
};
std::string to_string(const Prefix& prefix);

}  // namespace jvpn
