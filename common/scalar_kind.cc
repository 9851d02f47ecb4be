#include "common/scalar_kind.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "common/profile.h"
#include "common/secret.h"

namespace jvpn {
namespace {

bool is_plain(const YAML::Node& node) {
  return node.Tag() == "?";
}  // neither quoted nor tagged

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_character(char c) {
  return is_digit(c) || is_letter(c) || c == '_' || c == '-' || c == '.';
}
bool is_control_character(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// A whole plain scalar as a number; nullopt for anything around it.
template <typename T>
std::optional<T> parse_number(const YAML::Node& node) {
  const std::string& scalar = node.Scalar();
  if (!is_plain(node) || scalar.empty()) return std::nullopt;
  T number{};
  const char* const end = scalar.data() + scalar.size();
  const auto [stop, error] = std::from_chars(scalar.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::optional<uint64_t> parse_integer(const YAML::Node& node, uint64_t min, uint64_t max) {
  const auto number = parse_number<uint64_t>(node);
  if (!number || *number < min || *number > max) return std::nullopt;
  return number;
}

bool is_text(const std::string& scalar, size_t max) {
  return !scalar.empty() && scalar.size() <= max &&
         std::ranges::none_of(scalar, is_control_character);
}

bool is_pci_address(std::string_view address) {
  constexpr std::string_view form = "xxxx:xx:xx.o";  // x: hexadecimal, o: octal
  const auto fits = [](char c, char want) {
    if (want == 'o') return c >= '0' && c <= '7';
    if (want == 'x') return is_digit(c) || (c >= 'a' && c <= 'f');
    return c == want;
  };
  return address.size() == form.size() &&
         std::equal(address.begin(), address.end(), form.begin(), fits);
}

bool is_host_address(const IpAddress& address) {
  const auto& b = address.bytes;
  if (address.is_v4()) return b[0] != 0 && b[0] < 224;
  return b[0] != 0xff && address != IpAddress::v6({});
}

/// Not the address of the link itself, nor IPv4's broadcast.
bool is_on_its_link(const Prefix& prefix) {
  if (prefix.length + 1 >= prefix.address.bits()) return true;
  if (prefix == prefix.network()) return false;
  if (prefix.address.is_v6()) return true;
  Prefix inverted = prefix;  // a broadcast's host bits are ones: inverted they are zeros
  for (size_t i = 0; i < 4; ++i) inverted.address.bytes[i] ^= 0xff;
  return inverted != inverted.network();
}

bool looks_like_a_key(const std::string& scalar) {
  auto key = key_from_base64(scalar);
  if (!key) return false;
  wipe(key->data(), key->size());
  return true;
}

}  // namespace

std::string one_of_text(const std::vector<std::string>& words) {
  return words.size() == 1 ? words[0] : fmt::format("one of {}", fmt::join(words, ", "));
}

ScalarKind<bool> boolean() {
  return {"true or false", [](const YAML::Node& node) -> std::optional<bool> {
            if (!is_plain(node)) return std::nullopt;
            if (node.Scalar() == "true") return true;
            if (node.Scalar() == "false") return false;
            return std::nullopt;
          }};
}

ScalarKind<uint64_t> integer(uint64_t min, uint64_t max) {
  return {min == max ? fmt::format("{}", min) : fmt::format("an integer from {} to {}", min, max),
          [=](const YAML::Node& node) { return parse_integer(node, min, max); }};
}

ScalarKind<uint64_t> power_of_two(uint64_t min, uint64_t max) {
  return {fmt::format("a power of two from {} to {}", min, max),
          [=](const YAML::Node& node) -> std::optional<uint64_t> {
            const auto number = parse_integer(node, min, max);
            if (!number || !std::has_single_bit(*number)) return std::nullopt;
            return number;
          }};
}

ScalarKind<double> decimal(double min, double max) {
  return {fmt::format("a number from {} to {}", min, max),
          [=](const YAML::Node& node) -> std::optional<double> {
            const auto number = parse_number<double>(node);
            if (!number || !std::isfinite(*number) || *number < min || *number > max) {
              return std::nullopt;
            }
            return number;
          }};
}

ScalarKind<std::string> text(size_t max) {
  return {fmt::format("printable text of 1 to {} bytes", max),
          [=](const YAML::Node& node) -> std::optional<std::string> {
            if (!is_text(node.Scalar(), max)) return std::nullopt;
            return node.Scalar();
          }};
}

bool is_name(std::string_view text, size_t max) {
  const bool dots_only = text.find_first_not_of('.') == std::string_view::npos;
  return !dots_only && text.size() <= max && std::ranges::all_of(text, is_name_character);
}

ScalarKind<std::string> name(size_t max) {
  return {fmt::format("a name of 1 to {} letters, digits, '_', '-' or '.'", max),
          [=](const YAML::Node& node) -> std::optional<std::string> {
            if (!is_name(node.Scalar(), max)) return std::nullopt;
            return node.Scalar();
          }};
}

ScalarKind<std::string> pci_address() {
  return {"a PCI address such as 0000:3b:00.0",
          [](const YAML::Node& node) -> std::optional<std::string> {
            std::string address = node.Scalar();
            std::ranges::transform(address, address.begin(), [](char c) {
              return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            });
            if (!is_pci_address(address)) return std::nullopt;
            return address;
          }};
}

ScalarKind<std::array<uint8_t, 6>> ethernet_address() {
  using Address = std::array<uint8_t, 6>;
  return {"an Ethernet address of one host such as 02:00:5e:10:00:01",
          [](const YAML::Node& node) -> std::optional<Address> {
            const std::string& text = node.Scalar();
            Address address{};
            if (text.size() != 3 * address.size() - 1) return std::nullopt;
            for (size_t i = 0; i < address.size(); ++i) {
              const char* const digits = text.data() + 3 * i;
              const auto [end, error] = std::from_chars(digits, digits + 2, address[i], 16);
              const bool apart = i + 1 == address.size() || digits[2] == ':';
              if (error != std::errc{} || end != digits + 2 || !apart) return std::nullopt;
            }
            if ((address[0] & 1) != 0 || address == Address{}) return std::nullopt;
            return address;
          }};
}

ScalarKind<std::string> key_file_path() {
  return {"the path of a file that holds the key",
          [](const YAML::Node& node) -> std::optional<std::string> {
            if (!is_text(node.Scalar(), 4095) || looks_like_a_key(node.Scalar())) {
              return std::nullopt;
            }
            return node.Scalar();
          },
          true};
}

ScalarKind<PublicKey> public_key() {
  return {"a public key of 32 bytes in base64",
          [](const YAML::Node& node) -> std::optional<PublicKey> {
            const auto key = key_from_base64(node.Scalar());
            if (!key || *key == PublicKey{}) return std::nullopt;
            return key;
          },
          true};
}

ScalarKind<IpAddress> host_address() {
  return {"an IP address of a host", [](const YAML::Node& node) -> std::optional<IpAddress> {
            const auto address = IpAddress::parse(node.Scalar());
            if (!address || !is_host_address(*address)) return std::nullopt;
            return address;
          }};
}

ScalarKind<Prefix> interface_address() {
  return {"an address with its prefix length such as 192.0.2.1/24",
          [](const YAML::Node& node) -> std::optional<Prefix> {
            const auto prefix = Prefix::parse(node.Scalar());
            if (!prefix || prefix->length == 0) return std::nullopt;
            // Alone it would be the only host of its network, and the port without a neighbour.
            if (node.Scalar().find('/') == std::string::npos) return std::nullopt;
            if (!is_host_address(prefix->address) || !is_on_its_link(*prefix)) return std::nullopt;
            return prefix;
          }};
}

ScalarKind<Prefix> network() {
  return {"a network with its host bits zero such as 10.0.0.0/8",
          [](const YAML::Node& node) -> std::optional<Prefix> {
            const auto prefix = Prefix::parse(node.Scalar());
            if (!prefix || *prefix != prefix->network()) return std::nullopt;
            return prefix;
          }};
}

ScalarKind<Endpoint> endpoint() {
  return {"an endpoint such as 192.0.2.1:51900 or [2001:db8::1]:51900",
          [](const YAML::Node& node) -> std::optional<Endpoint> {
            const auto value = Endpoint::parse(node.Scalar());
            if (!value || value->port == 0 || !is_host_address(value->address)) {
              return std::nullopt;
            }
            return value;
          }};
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  bool letters = false;  // digits alone would be an address that isn't whole
  size_t label = 0;
  for (size_t at = 0; at <= text.size(); ++at) {
    const char each = at < text.size() ? text[at] : '.';
    if (each == '.') {
      if (label == 0 || label > 63 || text[at - 1] == '-') return false;
      label = 0;
      continue;
    }
    const bool letter = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z');
    const bool digit = each >= '0' && each <= '9';
    if (!letter && !digit && each != '_' && (each != '-' || label == 0)) return false;
    letters |= letter;
    ++label;
  }
  return letters;
}

ScalarKind<HostAndPort> named_endpoint() {
  return {"an endpoint such as 192.0.2.1:51900, [2001:db8::1]:51900 or vpn.example.org:51900",
          [](const YAML::Node& node) -> std::optional<HostAndPort> {
            if (const auto address = endpoint().parse(node))
              return HostAndPort{address, {}, address->port};
            const std::string& text = node.Scalar();
            const size_t colon = text.rfind(':');
            if (colon == std::string::npos || !is_host_name(text.substr(0, colon)))
              return std::nullopt;
            uint16_t port = 0;
            const char* const end = text.data() + text.size();
            const auto [rest, failed] = std::from_chars(text.data() + colon + 1, end, port);
            if (failed != std::errc() || rest != end || port == 0) return std::nullopt;
            return HostAndPort{std::nullopt, text.substr(0, colon), port};
          }};
}

ScalarKind<std::string> domain() {
  return {"a domain such as corp.example, or ~. for every name",
          [](const YAML::Node& node) -> std::optional<std::string> {
            std::string_view name = node.Scalar();
            if (name == "~.") return std::string(name);
            if (name.starts_with('~')) name.remove_prefix(1);
            if (name.ends_with('.')) name.remove_suffix(1);
            return is_host_name(name) ? std::optional(node.Scalar()) : std::nullopt;
          }};
}

}  // namespace jvpn
