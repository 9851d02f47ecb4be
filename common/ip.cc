#include "common/ip.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace jvpn {
namespace {

/// Decimal digits alone, without sign or leading zeros.
std::optional<uint16_t> parse_number(std::string_view text, unsigned max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  unsigned number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number > max) return std::nullopt;
  return static_cast<uint16_t>(number);
}

}  // namespace

IpAddress IpAddress::v4(std::array<uint8_t, 4> b) {
  IpAddress address;
  address.family = Family::kIpv4;
  std::copy(b.begin(), b.end(), address.bytes.begin());
  return address;
}

IpAddress IpAddress::v6(std::array<uint8_t, 16> b) {
  return IpAddress{Family::kIpv6, b};
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::copy(text.begin(), text.end(), terminated.begin());

  std::array<uint8_t, 16> v6_bytes;
  if (inet_pton(AF_INET6, terminated.data(), v6_bytes.data()) == 1) return v6(v6_bytes);
  std::array<uint8_t, 4> v4_bytes;
  if (inet_pton(AF_INET, terminated.data(), v4_bytes.data()) == 1) return v4(v4_bytes);
  return std::nullopt;
}

std::string to_string(const IpAddress& address) {
  if (address.family == Family::kNone) return "none";
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes.data(), text.data(),
            static_cast<socklen_t>(text.size()));
  return text.data();
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);

  const auto address = IpAddress::parse(host);
  const auto port = parse_number(text.substr(colon + 1), UINT16_MAX);
  if (!address || !port || address->is_v6() != bracketed) return std::nullopt;
  return Endpoint{*address, *port};
}

std::string to_string(const Endpoint& endpoint) {
  const std::string host = to_string(endpoint.address);
  return endpoint.address.is_v6() ? fmt::format("[{}]:{}", host, endpoint.port)
                                  : fmt::format("{}:{}", host, endpoint.port);
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.family != address.family || address.family == Family::kNone) return false;
  const size_t whole = length / 8u;
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + static_cast<ptrdiff_t>(whole),
                  other.bytes.begin())) {
    return false;
  }
  const unsigned rest = length % 8u;
  if (rest == 0) return true;
  return ((address.bytes[whole] ^ other.bytes[whole]) >> (8 - rest)) == 0;
}

Prefix Prefix::network() const {
  Prefix result = *this;
  for (size_t i = 0; i < result.address.bytes.size(); ++i) {
    const unsigned kept =
        length > i * 8 ? std::min<unsigned>(8, length - static_cast<unsigned>(i) * 8) : 0;
    const auto mask = static_cast<uint8_t>(0xff00u >> kept);
    result.address.bytes[i] &= mask;
  }
  return result;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Prefix{*address, address->bits()};
  const auto length = parse_number(text.substr(slash + 1), address->bits());
  if (!length) return std::nullopt;
  return Prefix{*address, static_cast<uint8_t>(*length)};
}

std::string to_string(const Prefix& prefix) {
  return fmt::format("{}/{}", to_string(prefix.address), prefix.length);
}

}  // namespace jvpn
